"""Models that are fetched: only with the digest that they must have, which is checked first."""

import hashlib
import http.client
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from abctl.core.experiment import Variant
from abctl.errors import NotFoundError, SpecError
from abctl.files import writing
from abctl.foreign import in_one_line
from abctl.local.model_folder import SETTINGS, ModelFolder, another

_TIMEOUT_SECONDS = 60.0
_CHUNK = 2**20
_MOST_BYTES = 2**35
_HERE = "or download it, and name the file in parameters.uri"


def fetched(variant: Variant, folder: ModelFolder, into: Path) -> ModelFolder:
    """The folder with its model on this machine; the same one if it is there already.

    Args:
        variant: says which digest the model has.
        folder: its settings may name a URL.
        into: where a model is put that is fetched.

    Raises:
        SpecError: there is no digest, what is fetched has another one, or nobody can fetch it.
        NotFoundError: nothing is there, or nobody answers.
        UsageError: it cannot be written.
    """
    if not folder.is_fetched:
        return folder
    shown = f"{folder.place / SETTINGS} fetches {_shown(folder.uri)}"
    wanted = variant.model.sha256
    if wanted is None:
        raise SpecError(
            f"variant {variant.name}: {shown}, and no model.sha256 says what it must be",
            f"model.sha256: the digest that sha256sum prints of that file; {_HERE}",
        )
    try:
        parts = urlsplit(folder.uri)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https"):
        raise SpecError(
            f"variant {variant.name}: {shown}, where nothing is checked before it is loaded",
            "download it, name the file in parameters.uri, and its digest in model.sha256",
        )
    path = into / f"model{PurePosixPath(parts.path).suffix}"
    found = _download(folder.uri, path, variant.name)
    if found != wanted:
        path.unlink()
        raise another(variant, _shown(folder.uri), found)
    parameters: dict[str, Any] = {**folder.settings["parameters"], "uri": str(path)}
    settings = {**folder.settings, "parameters": parameters}
    return replace(folder, settings=settings, changed=True)


def _download(url: str, path: Path, variant: str) -> str:
    """Writes what is there; gives its digest."""
    digest, size = hashlib.sha256(), 0
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    try:
        with file, urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - http(s) alone
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > _MOST_BYTES:
                    raise SpecError(f"{_shown(url)}: over {_MOST_BYTES:,} bytes", _HERE)
                digest.update(chunk)
                with writing(path):
                    file.write(chunk)
    except HTTPError as error:
        error.close()
        said = f"{error.code} {in_one_line(str(error.reason))[:100]}"
        raise _away(url, variant, said) from None
    except (URLError, OSError, http.client.HTTPException) as error:
        said = in_one_line(str(getattr(error, "reason", error)))[:200]
        raise _away(url, variant, said) from None
    return digest.hexdigest()


def _away(url: str, variant: str, said: str) -> NotFoundError:
    message = f"no model of variant {variant}: {_shown(url)}: {said}"
    return NotFoundError(message, f"is it there? {_HERE}")


def _shown(url: str) -> str:
    """An address without what may be secret in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "what is no URL"
    host = parts.netloc.rpartition("@")[2]
    return in_one_line(parts._replace(netloc=host, query="", fragment="").geturl())[:300]
