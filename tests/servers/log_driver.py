"""A client of a proxy with an access log, which remembers what it got."""

from contextlib import suppress

import grpc
import pytest
import requests
from api_server import DEADLINE_SECONDS
from logged_proxies import Counts, LoggedEnvoy, LoggedNginx
from told_servers import FLOWS, HELD, TORN, WHOLE

from abctl.core.assignment import explain
from abctl.core.experiment import Experiment

CALL = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"

Proxy = LoggedEnvoy | LoggedNginx


class Driver:
    """A client that remembers what it got."""

    def __init__(self, experiment: Experiment, proxy: Proxy) -> None:
        self._experiment, self._proxy = experiment, proxy
        self.seen, self._before = Counts(), proxy.reader.counts()

    def forget(self) -> None:
        """As for a new reader."""
        self.seen, self._before = Counts(), Counts()

    def until_counted(self, *, lost: int = 0) -> None:
        """Waits until exactly what it saw is counted, but for what was lost."""

        def counted() -> bool:
            missing = self._before + self.seen
            missing.subtract(self._proxy.reader.counts())
            return min(missing.values()) >= 0 and missing.total() == lost

        self._proxy.until(counted, "what the clients saw")

    def place(self, user: str | None, **headers: str) -> tuple[str, str]:
        """The variant and the bucket, as abctl's own arithmetic has them."""
        rules, split = self._experiment.assignment, self._experiment.split
        given = headers if user is None else {rules.key: user, **headers}
        found = explain(rules, split, given, self._proxy.draw)
        assert found.variant is not None
        return found.variant, "none" if found.bucket is None else str(found.bucket)

    def ask(self, user: str | None, want: str, *, code: str = "", **headers: str) -> None:
        """By REST; `code` is the class where the status does not say it."""
        own = {} if user is None else {"x-user-id": user}
        answer = requests.post(
            f"{self._proxy.url}/v2/models/iris/infer",
            b"{}",
            headers={"x-want": want, **own, **headers},
            timeout=DEADLINE_SECONDS,
        )
        place = self.place(user, **headers)
        assert answer.headers["x-ab-variant"] == place[0]
        self.seen[*place, code or f"{answer.status_code // 100}xx"] += 1

    def lost(self, user: str, want: str, code: str, timeout_seconds: float) -> None:
        """A request that gets no whole answer."""
        with pytest.raises(requests.RequestException):
            requests.post(
                f"{self._proxy.url}/v2/models/iris/infer",
                b"{}",
                headers={"x-user-id": user, "x-want": want},
                timeout=timeout_seconds,
            )
        self.seen[*self.place(user), code] += 1

    def parts(self, user: str, want: str, code: str) -> None:
        """An answer in parts of no said length, which the client reads to its end, or leaves."""
        url, headers = self._proxy.url, {"x-user-id": user, "x-want": want}
        url += f"/v2/models/iris/{'infer' if want == WHOLE else 'generate_stream'}"
        with requests.post(url, b"{}", headers=headers, stream=True, timeout=60) as answer:
            parts = answer.iter_content(2)
            assert next(parts) == b"{}"
            if want == TORN:
                with pytest.raises(requests.RequestException):
                    list(parts)
            elif want == WHOLE:
                list(parts)
        self.seen[*self.place(user), code] += 1

    def stream(self, channel: grpc.Channel, user: str, want: str, code: str) -> None:
        """A stream by gRPC, whose client leaves unless the server ends it."""
        asked = iter([b""])
        parts = channel.stream_stream(STREAM)(
            asked, metadata=(("x-user-id", user), ("x-want", want)), timeout=DEADLINE_SECONDS
        )
        assert next(parts) == b""
        if want in (FLOWS, HELD):
            parts.cancel()
        else:
            with suppress(grpc.RpcError):
                list(parts)
        self.seen[*self.place(user), code] += 1

    def call(self, channel: grpc.Channel, user: str, status: grpc.StatusCode, code: str) -> None:
        """By gRPC."""
        metadata = (("x-user-id", user), ("x-want", str(status.value[0])))
        ask = channel.unary_unary(CALL)
        if status is grpc.StatusCode.OK:
            ask(b"", metadata=metadata, timeout=DEADLINE_SECONDS)
        else:
            with pytest.raises(grpc.RpcError) as told:
                ask(b"", metadata=metadata, timeout=DEADLINE_SECONDS)
            assert told.value.code() is status
        self.seen[*self.place(user), code] += 1
