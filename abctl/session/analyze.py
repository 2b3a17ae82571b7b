"""From a running experiment to its analysis: what to ask for, where, and what the answers say.

`telemetry` says what to ask for, `source_of` whom; `gather` reads the answers; `analyze` does all
of it and judges.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from abctl.analysis.history import History, history, of_ledger
from abctl.analysis.judge import judge
from abctl.analysis.judge_units import OfUnits, judge_units
from abctl.cluster import KubeClient
from abctl.core.analysis import Analysis
from abctl.core.experiment import Experiment
from abctl.core.ledger import Ledger
from abctl.core.selector import matures_in
from abctl.errors import AbctlError, NotFoundError, SourceError
from abctl.evidence import saved as saved_counters
from abctl.evidence.absence import silences
from abctl.evidence.cache import cache_of
from abctl.evidence.evidence import Evidence, now_and_ahead_seconds
from abctl.evidence.matured import matured
from abctl.evidence.read import Progress, read
from abctl.evidence.recent import recent_windows
from abctl.forms.plan import as_locked
from abctl.local import scraper, stack
from abctl.metrics.queries import MetricQueries
from abctl.platforms import platform
from abctl.session import ledger, saved, tables
from abctl.session.session import Session
from abctl.session.sight import as_seen
from abctl.sources import Source, open_source
from abctl.spec import reach
from abctl.spec.measurement import measured, needs_upstreams


def telemetry(experiment: Experiment, world: KubeClient | None = None) -> MetricQueries:
    """What to ask a source for; the platform's objects say what the metrics call a variant.

    Without a world, or before they are there, what the experiment renders to says it.

    Raises:
        SourceError: no such preset, or nobody says what its metrics call a variant.
        ClusterError: the object that carries the split cannot be read.
    """
    if world is None or not needs_upstreams(experiment):
        return measured(experiment, None)
    try:
        target = world.get(platform(experiment.platform).target(experiment))
    except NotFoundError:
        target = None
    return measured(experiment, target)


def gather(
    experiment: Experiment,
    ledger: Ledger,
    source: Source,
    telemetry: MetricQueries,
    *,
    clock: Callable[[], float] | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Evidence:
    """Read what the source has of an experiment.

    Args:
        experiment: what is asked.
        ledger: what happened to its split, and the plan that was locked.
        source: where the counters are.
        telemetry: what to ask for.
        clock: unix seconds, by which the ledger is written; if None, the source's own.
        progress: see `read`.

    Raises:
        SourceError: the source cannot be read, or contradicts itself.
    """
    bare = _bare(as_locked(ledger, experiment))
    now, ahead = now_and_ahead_seconds(source, clock) if clock else (source.now(), 0.0)
    asked = Evidence(bare, ledger, telemetry, source.place, now, None, ahead)
    # What cannot be asked for is told before anybody is asked.
    queries = list(asked.queries())
    if not asked.windows:
        return asked
    # What is counted late is not there yet, so it cannot be kept as final.
    cache = cache_of(source, asked.now - max(map(matures_in, queries), default=0.0))
    moved = matured(source, queries)
    samples = read(moved, asked.windows, queries, asked.now, cache=cache, progress=progress)
    shares = ledger.desired.ratios if ledger.desired else {}
    silent = silences(source, telemetry, shares, asked.now)
    lately = recent_windows(asked.windows, asked.now)
    recent = (read(moved, lately, queries, asked.now),) if lately else ()
    return replace(asked, samples=samples, silences=silent, recent=recent)


def analyze(
    session: Session,
    *,
    save: Path | None = None,
    progress: Progress = lambda _done, _all: None,
    looks: int = 0,
) -> Analysis:
    """Read the ledger and the counters, and judge.

    Args:
        session: the experiment in the world that holds its ledger.
        save: where to put what was read, for `analyze_saved`; also if it cannot be judged.
        progress: is told how many questions the source has answered, and of how many.
        looks: of so many at most the path of each effect is told; 0: of none.

    Raises:
        NotFoundError: the experiment was not started, or its stack does not run.
        SourceError: the evidence cannot be read, or contradicts itself.
    """
    return judged(session, save, progress, looks)[0]


def analyze_with_history(
    session: Session, *, progress: Progress = lambda _done, _all: None, looks: int = 0
) -> tuple[Analysis, History]:
    """The same, and what happened besides: for reports.

    Raises:
        AbctlError: as for `analyze`.
    """
    said, found = judged(session, progress=progress, looks=looks)
    if found is None:
        return said, of_ledger(tables.known_ledger(session))
    return said, history(found, said)


def judged(
    session: Session,
    save: Path | None = None,
    progress: Progress = lambda _done, _all: None,
    looks: int = 0,
) -> tuple[Analysis, Evidence | None]:
    """As `analyze`, with the evidence that was judged; None where it is all of tables.

    Raises:
        AbctlError: as for `analyze`.
    """
    experiment, world, source = session.experiment, session.world, session.experiment.source
    of_tables = source is not None and source.tables is not None
    if of_tables and not experiment.by_counters.metrics:
        now, known = session.clock(), tables.known_ledger(session)
        alone = tables.of_units(session, known, now, progress)
        if save is not None:
            saved.save(save, None, alone)
        return judge_units(alone, now), None
    if not _elsewhere(session) and source and source.kind == "file":
        given = saved_counters.load(Path(source.options["path"]))
        found = replace(given, experiment=_bare(as_locked(given.ledger, experiment)))
    else:
        entries = present_ledger(session)
        where, wanted = source_of(session), telemetry(as_locked(entries, experiment), world)
        found = gather(experiment, entries, where, wanted, clock=session.clock, progress=progress)
    units = tables.of_units(session, found.ledger, found.now, progress) if of_tables else None
    if save is not None:
        saved.save(save, found, units)
    return judge(found, units, looks), found


def present_ledger(session: Session) -> Ledger:
    """The ledger, with what the object that carries the split says where its last entry does not.

    Raises:
        NotFoundError: the experiment was not started.
        ClusterError: the ledger cannot be read.
    """
    try:
        return as_seen(session, session.observe())
    except AbctlError:  # without the object there is the ledger's own word
        return ledger.read(session.world, session.experiment).ledger


def _bare(experiment: Experiment) -> Experiment:
    """The experiment without its source and its text.

    The analysis needs neither, and they may hold private addresses.
    """
    return replace(experiment, source=None, written=None)


def analyze_saved(path: Path, looks: int = 0) -> Analysis:
    """Judge evidence that `analyze` saved; needs nothing but the file.

    Args:
        path: the file.
        looks: see `analyze`.

    Raises:
        SourceError: it cannot be read, or contradicts itself.
    """
    return analyze_saved_with_history(path, looks)[0]


def analyze_saved_with_history(path: Path, looks: int = 0) -> tuple[Analysis, History]:
    """The same, and what happened besides: for reports.

    Raises:
        SourceError: as for `analyze_saved`.
    """
    counters, units = saved.load(path)
    if counters is not None:
        return with_history(counters, looks, units)
    assert units is not None, "there is something in it"
    return judge_units(units, units.evidence.asked.until), of_ledger(units.ledger)


def with_history(
    found: Evidence, looks: int, units: OfUnits | None = None
) -> tuple[Analysis, History]:
    """What evidence of counters, and of tables, says, and what happened besides; see `analyze`."""
    said = judge(found, units, looks)
    return said, history(found, said)


def source_of(session: Session) -> Source:
    """Where the experiment's counters are.

    Raises:
        SourceError: nobody says it, or what the file wants to send was not allowed.
        NotFoundError: its stack does not run.
    """
    experiment, world = session.experiment, session.world
    if session.prometheus_config is not None:
        given = reach.read(session.prometheus_config, session.prometheus_url)
        return reach.prometheus(given, experiment.namespace, world)
    if session.prometheus_url is not None:
        return open_source("prometheus", {"url": session.prometheus_url})
    if (source := experiment.source) is not None and source.kind != "table":
        if source.kind == "prometheus":
            reach.require_agreement(experiment)
            return reach.prometheus(source.options, experiment.namespace, world)
        return open_source(source.kind, source.options)
    if session.state_dir is None:
        raise SourceError(
            f"{experiment.name} does not say where its evidence is",
            "write spec.source in its file, or name a Prometheus with --prometheus",
        )
    scrapes = session.state_dir / scraper.SCRAPES
    try:
        url = stack.read(session.state_dir).prometheus_url
    except NotFoundError:
        if not scrapes.exists():  # a file can be read also when nothing runs any more
            raise
        url = None
    if url:
        return open_source("prometheus", {"url": url})
    return open_source("scrape", {"file": str(scrapes)})


def _elsewhere(session: Session) -> bool:
    """Whether the user has named a Prometheus."""
    return session.prometheus_url is not None or session.prometheus_config is not None
