"""A world in which every command line works as far as it can without a process, and what is wrong
in it: the files that faults name.
"""

import gzip
import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from abctl.cluster.directory import DirectoryClient
from abctl.core.ledger import Entry
from abctl.forms.ledger import new_object
from abctl.platforms import platform
from abctl.session import local_world
from abctl.spec import load

# Nothing has settled yet: no sample is needed.
EXPERIMENT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: iris}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: s}
  variants:
    - {name: control, split: 50%, model: {name: iris, version: v1, image: "abctl/iris:v1"}}
    - {name: treatment, split: 50%, model: {name: iris, version: v2, image: "abctl/iris:v2"}}
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 2pp}
  outcomes: [{name: accuracy, kind: binary, maturity: 1h}]
  source: {scrape: {file: pages.jsonl}}
  ramp: {gate: [5%]}
  design: {settle: 6d}
"""
SAVED = Path(__file__).parents[1] / "golden" / "saved_evidence.json.gz"


def make(folder: Path) -> None:
    """Fill a folder."""
    (folder / "iris.yaml").write_text(EXPERIMENT)
    (folder / "changed.yaml").write_text(EXPERIMENT.replace("mde: 2pp", "mde: 3pp"))
    experiment = load(folder / "iris.yaml")
    first = Entry(time.time(), "me", None, experiment.split, "start", "applied")
    client = DirectoryClient(folder / "state" / local_world.WORLD)
    for each in (new_object(experiment, first), *platform("envoy").objects(experiment)):
        client.create(each)
    (folder / "state" / "stack.lock").touch()
    (folder / "state" / "logs").mkdir()
    (folder / "state" / "logs" / "envoy.log").write_text("it \x1b[31mran\n")
    (folder / "pages.jsonl").touch()
    (folder / "labels.csv").write_text("token,value\nx,1\n")
    (folder / "kubeconfig").write_text(_kubeconfig("http://127.0.0.1:1"))
    _wrong(folder)


def _wrong(folder: Path) -> None:
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket"))
    (folder / "endless").symlink_to("endless")
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    (folder / "zeros").write_bytes(bytes(10_000))
    (folder / "utf16").write_bytes("kind: Experiment".encode("utf-16"))
    (folder / "page.html").write_text("<!doctype html>\n<title>Sign in</title>\n")
    (folder / "deep").write_text("[" * 200)
    (folder / "list.json").write_text(json.dumps([1, "two"]))
    with (folder / "huge").open("wb") as file:
        file.truncate(2**31)
    (folder / "cut.json.gz").write_bytes(SAVED.read_bytes()[:-1_000])
    with gzip.open(folder / "bomb.json.gz", "wb", compresslevel=1) as packed:
        packed.write(b"[" + b"[]," * 2**22)


def _kubeconfig(server: str) -> str:
    return json.dumps(
        {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c"}}],
            "clusters": [{"name": "c", "cluster": {"server": server}}],
        }
    )


class WebPage(ThreadingHTTPServer):
    """Answers everything with a page for browsers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>Sign \x1b[31min</title>" + b"<p>x</p>" * 1_000
        self.send_response(404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
