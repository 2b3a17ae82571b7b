"""Ctrl-C while an engine works: it ends there too, and what is kept is as it was."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import psycopg
import pytest
from compatible import until
from postgres_server import serving
from unit_tables import experiment_file, shop

pytestmark = pytest.mark.process
# What a file or a database has to multiply before there is an exposure.
OF_FILES = 'SELECT a.* FROM "exposures.csv" a, "pad.csv" b'
OF_POSTGRES = "SELECT a.* FROM seen a, pg_sleep(3600)"
COMMAND = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
COMMAND += "from abctl.cli.main import main; main()"


@contextmanager
def analyzing(folder):
    """`abctl analyze shop.yaml` on a terminal; gives the process, and what it has shown so far."""
    master, terminal = pty.openpty()
    environment = os.environ | {
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "TMPDIR": str(folder / "tmp"),
        "KUBECONFIG": str(folder / "none"),
        "COLUMNS": "80",
        "TERM": "xterm",
    }
    (folder / "tmp").mkdir(exist_ok=True)
    running = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "analyze", "shop.yaml"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    os.set_blocking(master, False)
    shown = bytearray()

    def screen() -> bytes:
        with suppress(OSError):  # nothing is there; or nobody, any more
            shown.extend(os.read(master, 65536))
        (folder / "screen").write_bytes(shown)
        return bytes(shown)

    try:
        yield running, screen
    finally:
        running.kill()
        running.wait(60)
        running.stdout.close()
        os.close(master)


def ended(running, screen, folder) -> None:
    assert running.wait(60) == 130, screen()
    assert b"error: interrupted" in screen()
    assert b"Traceback" not in screen()
    assert running.stdout.read() == b""
    assert list((folder / "tmp").iterdir()) == []


def write(folder, select, more="") -> None:
    text = experiment_file(more=more).replace("from: exposures.csv", f"from: '{select}'")
    (folder / "shop.yaml").write_text(text)


def test_duckdb_stops_and_shows_how_far_it_is(tmp_path) -> None:
    shop(50).write(tmp_path)
    write(tmp_path, OF_FILES)
    head, *rows = (tmp_path / "exposures.csv").read_text().splitlines(keepends=True)
    (tmp_path / "exposures.csv").write_text(head + "".join(rows) * (200_000 // len(rows)))
    (tmp_path / "pad.csv").write_text("n\n" + "1\n" * 20_000)
    with analyzing(tmp_path) as (running, screen):
        until(lambda: b"evidence" in screen(), lambda: running.poll() is None, tmp_path / "screen")
        running.send_signal(signal.SIGINT)
        ended(running, screen, tmp_path)
    assert not (tmp_path / "state").exists()


def test_postgres_stops(tmp_path) -> None:
    shop(50).write(tmp_path)
    with serving(tmp_path / "postgres") as server:
        listed = ", ".join(f"{k}: '{v}'" for k, v in server.items())
        write(tmp_path, OF_POSTGRES, f"      engine: postgres\n      connection: {{{listed}}}")
        with psycopg.connect(**server, autocommit=True) as connection:
            connection.execute("CREATE TABLE seen (user_id text, variant text, ts timestamp)")
            connection.execute("INSERT INTO seen VALUES ('u1', 'control', '2026-10-01')")

            def busy() -> bool:
                found = connection.execute(
                    "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                ).fetchone()
                return found == (1,)

            with analyzing(tmp_path) as (running, screen):
                until(busy, lambda: running.poll() is None, tmp_path / "screen")
                running.send_signal(signal.SIGINT)
                ended(running, screen, tmp_path)
            until(lambda: not busy(), lambda: True, tmp_path / "screen")
