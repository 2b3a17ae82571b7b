"""`analyze`: what the evidence of a running experiment says."""

from dataclasses import replace
from pathlib import Path

from abctl.cluster import Door
from abctl.core.analysis import Analysis
from abctl.core.epochs import ledger_of
from abctl.core.experiment import Experiment
from abctl.errors import NotFoundError, SourceError
from abctl.local import scraper, stack
from abctl.services import _reach, _secrets, ledger
from abctl.services.gather import Evidence, gather
from abctl.services.judge import judge
from abctl.services.read import Progress
from abctl.services.telemetry import telemetry
from abctl.sources import Source, file, open_source


def analyze(
    door: Door,
    experiment: Experiment,
    state_dir: Path | None,
    *,
    prometheus_url: str | None = None,
    prometheus_config: Path | None = None,
    save: Path | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Analysis:
    """Read the ledger and the counters, and judge.

    Args:
        door: the world that holds the ledger.
        experiment: what is asked.
        state_dir: the folder of its local stack; None in a cluster.
        prometheus_url: where the counters are; else the experiment says, or the stack.
        prometheus_config: a file that says it, and who one is there.
        save: where to put what was read, for `analyze_saved`; also if it cannot be judged.
        progress: is told how many questions the source has answered, and of how many.

    Raises:
        NotFoundError: the experiment was not started, or its stack does not run.
        SourceError: the evidence cannot be read, or contradicts itself.
    """
    source = experiment.source
    elsewhere = prometheus_url is not None or prometheus_config is not None
    if not elsewhere and source and source.kind == "file":
        saved = file.load(Path(source.options["path"]), Evidence)
        found = replace(saved, experiment=replace(experiment, source=None))
    else:
        entries = ledger_of(ledger.read(door, experiment))
        where = source_of(
            experiment, state_dir, prometheus_url, prometheus_config=prometheus_config, door=door
        )
        wanted = telemetry(experiment, door)
        found = gather(experiment, entries, where, wanted, clock=door.now, progress=progress)
    if save is not None:
        file.save(save, found)
    return judge(found)


def analyze_saved(path: Path) -> Analysis:
    """Judge evidence that `analyze` saved; needs nothing but the file.

    Raises:
        SourceError: it cannot be read, or contradicts itself.
    """
    return judge(file.load(path, Evidence))


def source_of(
    experiment: Experiment,
    state_dir: Path | None,
    prometheus_url: str | None = None,
    *,
    prometheus_config: Path | None = None,
    door: Door | None = None,
) -> Source:
    """Where an experiment's counters are; see `analyze`."""
    if prometheus_config is not None:
        given = _reach.read(prometheus_config, prometheus_url)
        return _reach.prometheus(given, experiment.namespace, door)
    if prometheus_url is not None:
        return open_source("prometheus", {"url": prometheus_url})
    if (source := experiment.source) is not None:
        if source.kind == "prometheus":
            _secrets.require_agreement(experiment)
            return _reach.prometheus(source.options, experiment.namespace, door)
        return open_source(source.kind, source.options)
    if state_dir is None:
        raise SourceError(
            f"{experiment.name} does not say where its evidence is",
            "write spec.source in its file, or name a Prometheus with --prometheus",
        )
    scrapes = state_dir / scraper.SCRAPES
    try:
        url = stack.read(state_dir).prometheus_url
    except NotFoundError:
        if not scrapes.exists():  # a file can be read also when nothing runs any more
            raise
        url = None
    if url:
        return open_source("prometheus", {"url": url})
    return open_source("scrape", {"file": str(scrapes)})
