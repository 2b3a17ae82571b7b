"""A PostgreSQL of a test, with a folder of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pwd import getpwall

from api_server import path_from
from compatible import until
from own_ports import free_ports

from abctl.local.identity import die_with


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Gives what a driver connects with."""
    binary, (port,) = Path(path_from("debian", "postgres")), free_ports(1)
    data, log = folder / "data", folder / "log"
    folder.mkdir(parents=True, exist_ok=True)
    whom = _not_root(folder)
    words = [binary.with_name("initdb"), "-D", data, "-U", "ann", "--auth=trust", "--no-sync"]
    subprocess.run(list(map(str, words)), cwd=folder, check=True, capture_output=True, user=whom)
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    told = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(binary), "-D", str(data), "-p", str(port), *told],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            user=whom,
            preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 - whatever ends the tests ends it
        )
        try:
            ready = "database system is ready to accept connections"
            until(lambda: ready in log.read_text(), lambda: process.poll() is None, log)
            yield {"host": "127.0.0.1", "port": str(port), "user": "ann", "dbname": "postgres"}
        finally:
            process.terminate()
            process.wait(60)


def _not_root(folder: Path) -> int | None:
    """PostgreSQL refuses to run as root: another user, who may write to the folder."""
    if os.geteuid():
        return None
    known = {each.pw_name: each.pw_uid for each in getpwall()}
    uid = known.get("postgres", known["nobody"])
    shutil.chown(folder, uid)
    for each in folder.parents:
        if each == Path("/tmp") or not str(each).startswith("/tmp"):
            break
        each.chmod(each.stat().st_mode | 0o011)
    return uid
