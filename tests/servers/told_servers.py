"""Model servers that answer as the request tells them to (`x-want`), by REST and by gRPC."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import grpc
from api_server import DEADLINE_SECONDS, HOST

BROKEN, HELD, TORN, FLOWS, WHOLE = "broken", "held", "torn", "flows", "whole"
SOON_SECONDS = 0.02


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """A status; an answer that breaks off; or none, until the client has left."""
        self.rfile.read(int(self.headers["content-length"]))
        want = self.headers["x-want"]
        if want == HELD:
            with suppress(OSError):
                self.connection.settimeout(DEADLINE_SECONDS)
                self.connection.recv(1)
            self.close_connection = True
            return
        if want in (TORN, FLOWS, WHOLE):
            self._stream(want)
            return
        self.send_response(200 if want == BROKEN else int(want))
        self.send_header("content-length", "100" if want == BROKEN else "2")
        self.end_headers()
        self.wfile.write(b"{}")
        if want == BROKEN:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def _stream(self, want: str) -> None:
        """Parts until the client has left, or one, which is the last one or not."""
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):
            self.wfile.write(b"2\r\n{}\r\n")
            while want == FLOWS:
                self.wfile.write(b"2\r\n{}\r\n")
                time.sleep(SOON_SECONDS)
            if want == WHOLE:
                self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    """It knows its connections: a process that is killed keeps none of them."""

    daemon_threads = True

    def __init__(self, *where: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*where)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def kill(self) -> None:
        self.shutdown()
        self.server_close()
        for each in list(self._open):
            with suppress(OSError):  # it has just ended
                each.shutdown(socket.SHUT_RDWR)


class _Calls(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> Any:
        def answer(_: bytes, context: Any) -> bytes:
            want = dict(context.invocation_metadata())["x-want"]
            if want == HELD:
                ended = Event()
                context.add_callback(ended.set)
                ended.wait(DEADLINE_SECONDS)
            elif status := int(want):
                context.abort(next(c for c in grpc.StatusCode if c.value[0] == status), "as told")
            return b""

        def stream(asked: Iterator[bytes], context: Any) -> Iterator[bytes]:
            yield b""
            while dict(context.invocation_metadata())["x-want"] == FLOWS and context.is_active():
                yield b""
                time.sleep(SOON_SECONDS)
            yield answer(next(asked), context)

        if details.method.endswith("ModelStreamInfer"):
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(answer)


class ToldServer:
    """A server of one variant; one that is killed answers nothing, and nobody else has its port."""

    def __init__(self, http: int, calls: int) -> None:
        self._ports = http, calls
        self.start()

    def start(self) -> None:
        """Answer, for the first time or again."""
        http, calls = self._ports
        self._http = _Server((HOST, http), _Answers)
        Thread(target=self._http.serve_forever, daemon=True).start()
        self._calls = grpc.server(ThreadPoolExecutor(8), handlers=[_Calls()])
        self._calls.add_insecure_port(f"{HOST}:{calls}")
        self._calls.start()

    def kill(self) -> None:
        """Answer no more."""
        self._http.kill()
        self._calls.stop(None).wait()
