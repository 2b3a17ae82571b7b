"""`analyze`: what the evidence of a running experiment says."""

from pathlib import Path

from abctl.core.analysis import Analysis
from abctl.core.epochs import ledger_of
from abctl.core.experiment import Experiment
from abctl.local import scraper, stack
from abctl.services import ledger, world
from abctl.services.judge import judge
from abctl.sources import Source, open_source


def analyze(
    experiment: Experiment, state_dir: Path, *, prometheus_url: str | None = None
) -> Analysis:
    """Read the ledger and the counters, and judge.

    Args:
        experiment: what is asked.
        state_dir: the folder of its local stack.
        prometheus_url: where the counters are; else the experiment says, or the stack.

    Raises:
        NotFoundError: the experiment was not started, or its stack does not run.
        SourceError: the evidence cannot be read, or contradicts itself.
    """
    entries = ledger_of(ledger.read(world.door(experiment, state_dir), experiment))
    preset = experiment.source.preset if experiment.source else "abctl"
    source = _source(experiment, state_dir, prometheus_url)
    return judge(experiment, entries, source, preset_name=preset)


def _source(experiment: Experiment, state_dir: Path, prometheus_url: str | None) -> Source:
    if prometheus_url is not None:
        return open_source("prometheus", {"url": prometheus_url})
    if experiment.source is not None:
        return open_source(experiment.source.kind, experiment.source.options)
    if url := stack.read(state_dir).prometheus_url:
        return open_source("prometheus", {"url": url})
    return open_source("scrape", {"file": str(state_dir / scraper.SCRAPES)})
