"""A Prometheus of a test: with a history on its disk, or with what it is configured to scrape."""

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api_server import path_from
from compatible import running
from own_ports import free_ports


@contextmanager
def serving(
    folder: Path,
    *more: str,
    config: str = "{}",
    history: Iterable[str] = (),
    program: Path | None = None,
) -> Iterator[str]:
    """Gives its address; what it keeps and says is in the folder.

    Args:
        folder: of its own.
        more: options.
        config: its configuration.
        history: the text of OpenMetrics that it has from the start, in parts.
        program: another one than Debian's.
    """
    binary, (port,) = program or Path(path_from("debian", "prometheus")), free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yaml").write_text(config)
    with (folder / "history").open("w") as file:
        file.writelines(history)
    if (folder / "history").stat().st_size:
        words = ["tsdb", "create-blocks-from", "openmetrics", "-q", "history", "data"]
        subprocess.run([binary.with_name("promtool"), *words], cwd=folder, check=True)
    options = [
        "--config.file=prometheus.yaml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(folder, port, "/-/ready", [binary, *options, *more]) as url:
        yield url
