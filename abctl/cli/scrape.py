"""`abctl scrape`: evidence for places without a Prometheus."""

import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._options import duration
from abctl.cli._output import say, screen
from abctl.core.time import format_duration
from abctl.errors import Interrupted, SourceError, UsageError
from abctl.report.prose import prose

if TYPE_CHECKING:
    from rich.progress import Progress

_LONGEST_SECONDS = 300.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(scrape)


def scrape(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="HOST:PORT, whose page is /metrics, or a URL; VARIANT=... labels it variant.",
        ),
    ],
    *,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="Where to append what was read.")
    ] = Path("scrapes.jsonl"),
    interval: Annotated[
        float,
        typer.Option(parser=duration, metavar="DURATION", help="How often to read every page."),
    ] = 15.0,
    for_: Annotated[
        float | None,
        typer.Option(
            "--for",
            parser=duration,
            metavar="DURATION",
            envvar="ABCTL_SCRAPE_FOR",
            help="When to end; else with Ctrl-C.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX", help="Keep metrics whose name begins so; may be given again."
        ),
    ] = None,
) -> None:
    """Read /metrics pages into a file, where no Prometheus does.

    The experiment file names it: `source: {scrape: {file: scrapes.jsonl}}`. Ended at any time and
    started again, it goes on with the same file; what happened meanwhile is a gap.

    abctl scrape model-v1:8082 model-v2:8082 --interval 5s --for 2h

    abctl scrape control=10.0.0.7:9000 treatment=10.0.0.8:9000 --keep http_

    abctl scrape treatment=https://model-v2:8443/stats/prometheus --keep envoy_
    """
    from abctl.sources.scrape import KEPT, START_TIME, Scraper, parse_target  # noqa: PLC0415

    if not 0 < interval <= _LONGEST_SECONDS:
        given = f"--interval {format_duration(interval)}"
        raise UsageError(f"{given}, must be more than 0 and at most 5m", "15s")
    end = None if for_ is None else time.time() + for_
    kept = (*keep, START_TIME) if keep else KEPT
    with Scraper(file, [parse_target(t) for t in targets], kept) as scraper, _bar() as bar:
        task = bar.add_task("", total=None) if bar else None
        rounds, silent, remarks = 0, list[str](), list[str]()
        try:
            while end is None or time.time() < end:
                missing = scraper.scrape(time.time())
                if scraper.strangers and not rounds:
                    raise _not_metrics(scraper.strangers)
                rounds += 1
                if missing != silent:
                    say(prose(f"silent: {', '.join(missing)}") if missing else "all answer again")
                    silent = missing
                for each in scraper.remarks:
                    if each not in remarks:
                        say(prose(each))
                        remarks.append(each)
                if bar and task is not None:
                    bar.update(task, completed=rounds, description=f"{rounds} rounds")
                time.sleep(_until_next(interval, end))
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted after {rounds} rounds, all of them in {file}",
                "the same command goes on with it",
            ) from None
    say(f"{rounds} rounds in {file}")


def _not_metrics(strangers: Mapping[str, str]) -> SourceError:
    """The error for who has no metrics page at all: later it may be a passing trouble."""
    told = "; ".join(f"{address}: no metrics page but {w}" for address, w in strangers.items())
    return SourceError(told, "is it the right port? curl http://HOST:PORT/metrics shows the page")


def _until_next(every: float, end: float | None) -> float:
    """Seconds until the next multiple of the interval, or the end."""
    wait = every - (now := time.time()) % every
    return wait if end is None else max(0.0, min(wait, end - now))


def _bar() -> "Progress | nullcontext[None]":
    """What is done, on a terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich import progress  # noqa: PLC0415 - rich is slow to import

    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.TimeElapsedColumn(),
    )
    return progress.Progress(*columns, console=screen(stderr=True), transient=True)
