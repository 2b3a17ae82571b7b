"""A gateway before an API server that loses answers: what was asked is done, or not, unseen."""

import ssl
from contextlib import contextmanager
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

# What becomes of a write: (is it passed on?, what is answered; None: the connection is cut).
FAULTS = {
    "done, 504": (True, 504),
    "not done, 504": (False, 504),
    "done, cut off": (True, None),
    "not done, cut off": (False, None),
}
_LEFT_OUT = {"host", "connection", "content-length", "transfer-encoding"}


class Gateway(ThreadingHTTPServer):
    """Passes on everything but the writes whose numbers are in `faulty`, counted from 1."""

    daemon_threads = True

    def __init__(self, cluster):
        self.certificate, self.server = cluster.certificate, urlsplit(cluster.url)
        self.faulty, self.writes = {}, 0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        passed, code = True, 0
        if self.command != "GET":
            self.server.writes += 1
            passed, code = self.server.faulty.get(self.server.writes, (True, 0))
        answer = self._pass_on(body) if passed else None
        if code is None:
            self.close_connection = True
            return
        if code or answer is None:
            self._say(code, b"upstream request timeout", [])
        else:
            self._say(*answer)

    do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = answer  # noqa: N815 - the library's names

    def _pass_on(self, body):
        context = ssl.create_default_context(cafile=self.server.certificate)
        there = HTTPSConnection(
            self.server.server.hostname, self.server.server.port, context=context, timeout=60
        )
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _LEFT_OUT}
        try:
            there.request(self.command, self.path, body or None, headers)
            found = there.getresponse()
            return found.status, found.read(), found.getheaders()
        finally:
            there.close()

    def _say(self, code, body, headers):
        self.send_response_only(code)
        for name, value in headers:
            if name.lower() not in _LEFT_OUT:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def gateway(cluster):
    """One before a cluster, as long as the context lasts."""
    running = Gateway(cluster)
    thread = Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
