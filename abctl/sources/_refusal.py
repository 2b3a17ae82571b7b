"""What went wrong between us and a Prometheus, in words; no secrets."""

import json
import re
from http import HTTPStatus
from urllib.parse import urljoin

from requests import Response
from requests.exceptions import (
    ChunkedEncodingError,
    JSONDecodeError,
    ProxyError,
    SSLError,
    Timeout,
    TooManyRedirects,
)
from requests.exceptions import ConnectionError as NoConnection
from urllib3.exceptions import ProtocolError

from abctl.errors import SourceAwayError, SourceError
from abctl.foreign import is_web_page, said
from abctl.sources._answers import IncompleteError, TooLargeError
from abctl.sources.connection import PASSING, Connection, place_of

TOO_MANY = "too many samples"
# Or what VictoriaMetrics, Thanos and Mimir say in place of that.
_TOO_MUCH = re.compile(
    rf"{TOO_MANY}|cannot (select|process) more than|exceeded \w+ limit"
    r"|exceeded the maximum number of"
)
_HINT = "give the address of the server itself: --prometheus URL"
_FEWER = "ask for fewer series with selectors of your own"
_PATH = "is there a path in front of /api/v1? url: https://host/path"
_TLS = re.compile(r"\[SSL[^\]]*\] ([^('\"]*)")


def of_connection(error: Exception, place: str, by: Connection) -> SourceError:
    """The error for a missing answer, or one that is not from Prometheus."""
    if isinstance(error, Timeout):
        message = f"{place} did not answer within {by.timeout_seconds:g} seconds"
        hint = "is it overloaded? timeout: 2m in source.prometheus waits longer"
        return SourceAwayError(message, hint)
    if isinstance(error, IncompleteError):
        return SourceAwayError(
            f"{place} gave a partial answer: {said(by.redacted(str(error)))}",
            "a store or server behind it is down; counts without it would be too small",
        )
    if isinstance(error, NoConnection | ChunkedEncodingError):
        return _unconnected(error, place, by)
    if isinstance(error, TooManyRedirects) and error.response is not None:
        to = place_of(urljoin(error.response.url, error.response.headers.get("location", "")))
        hint = "give the final address; if that is a login page, credentials are missing"
        return SourceError(f"{place} redirects to {to} (sent: {by.identity})", hint)
    if isinstance(error, JSONDecodeError) and is_web_page(error.doc):
        return _web_page(error.doc, HTTPStatus.OK, place, by)
    what = "not JSON" if isinstance(error, JSONDecodeError) else "other JSON"
    message = f"{place} does not answer as Prometheus does ({what}, sent: {by.identity})"
    hint = _HINT
    if isinstance(error, TooLargeError):
        # Who asked tries a shorter time, as after the refusal of a server.
        message, hint = f"{place} answers with {TOO_MANY}: {error}", f"{_FEWER}, or {_HINT}"
    return SourceError(message, hint)


def _web_page(page: str, status: int, place: str, by: Connection) -> SourceError:
    return SourceError(
        f"{place} answered with {said(by.redacted(page))}, not as Prometheus does (HTTP {status}, "
        f"sent: {by.identity})",
        f"is it a login page, or is a path missing? {_HINT}",
    )


def _unconnected(error: Exception, place: str, by: Connection) -> SourceError:
    if isinstance(error, ChunkedEncodingError):
        return SourceAwayError(
            f"{place} closed the connection in the middle of an answer", "is it restarting?"
        )
    if isinstance(error, ProxyError):
        proxy = by.proxy_url or "the proxy of the environment (HTTPS_PROXY, HTTP_PROXY)"
        return SourceAwayError(f"{place}: {proxy} refused the request", "set proxyUrl or NO_PROXY")
    found = _TLS.search(str(error))
    if found or isinstance(error, SSLError):
        reason = found[1].strip() if found else "the server closed the connection"
        return SourceError(f"{place}: TLS failed: {reason}", _tls_hint(reason, by))
    cause = error.args[0] if error.args else None
    if isinstance(getattr(cause, "reason", cause), ProtocolError):
        hint = "does it use https? does it need a client certificate, or a proxy?"
        return SourceAwayError(f"{place} closed the connection (sent: {by.identity})", hint)
    return SourceAwayError(
        f"nothing answers at {place}",
        "is it running (abctl local status), and is that its address? --prometheus URL names "
        "another, source.prometheus.service in the file a Prometheus of the cluster",
    )


def of_status(answer: Response, query: str, place: str, by: Connection) -> SourceError:
    """The error for an answer other than 200."""
    status, reason = answer.status_code, by.redacted(_reason(answer.content))
    words = said(reason)  # cut once no secret is in it: part of one would not be recognized
    if is_web_page(reason) and status not in (401, 403):
        return _web_page(reason, status, place, by)
    if status in (400, 422):
        if TOO_MANY not in words and _TOO_MUCH.search(reason):
            words = f"{TOO_MANY}: {words}"
        fewer = f"{_FEWER}, or raise the server's limit"
        hint = fewer if TOO_MANY in words else 'a selector is a name{label="value"}'
        return SourceError(f"{place} refused {query}: {words}", hint)
    if status in (401, 403):
        quoted = f": {words}" if words and not is_web_page(reason) else ""
        return SourceError(
            f"{place} refused access (HTTP {status}, sent: {by.identity}){quoted}",
            "set basicAuth, bearerTokenFile, tlsConfig or headers (a tenant) in source.prometheus, "
            "or --prometheus-config",
        )
    hint = "its log may say why; try again, or ask another server: --prometheus URL"
    if status == HTTPStatus.NOT_FOUND:
        hint = _PATH
    # These were asked again already, for a moment.
    kind = SourceAwayError if status in PASSING else SourceError
    return kind(f"{place} answered HTTP {status}: {words or 'no details'}", hint)


def _tls_hint(reason: str, by: Connection) -> str:
    if any(word in reason for word in ("alert", "handshake", "closed")):
        return f"it may need a certificate: tlsConfig.certFile and keyFile (sent: {by.identity})"
    if "wrong version" in reason:
        return "it uses http, not https"
    return "name the certificate of its authority: tlsConfig.caFile"


def _reason(body: bytes) -> str:
    """What Prometheus says in the body of an error, or any other body."""
    try:
        said = json.loads(body)
        error = said.get("error") or said["message"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return body.decode(errors="replace").strip()
