"""From tables of exposures and events to the analysis of an experiment, with a ledger or without.

Without a cluster or a stack there is no ledger: then the split of the file is taken to have stood.
"""

from dataclasses import asdict, dataclass
from typing import Any

from abctl.analysis.judge_units import OfUnits
from abctl.core.ledger import Ledger
from abctl.errors import AbctlError, NotFoundError, UsageError
from abctl.forms.plan import as_locked
from abctl.platforms import platform
from abctl.session import ledger as book
from abctl.session.session import Session
from abctl.spec import reach
from abctl.tables import explain, gather, kept
from abctl.tables.explain import Expected
from abctl.tables.running import Told, silent


def of_units(session: Session, ledger: Ledger | None, now: float, told: Told = silent) -> OfUnits:
    """What the tables of an experiment say; `told` hears how far it is.

    Raises:
        UsageError: a file, a driver or an environment variable is missing.
        SourceError: the tables cannot be read, or what the file wants to send was not allowed.
    """
    given = session.experiment
    reach.require_agreement(given, counters=False)
    experiment = given if ledger is None else as_locked(ledger, given)
    draw = platform(experiment.platform).CAPABILITIES.draw
    evidence = gather.gather(experiment, ledger, now, draw, kept.folder(), told=told)
    return OfUnits(experiment, evidence, ledger)


@dataclass(frozen=True)
class Dry:
    """What `analyze` would ask the tables, in order.

    >>> dry = Dry(("SELECT 1;",), (Expected("DuckDB", {}, rows=1),))
    >>> print(dry.text)
    -- DuckDB expects to read about 0 rows, to give 1
    SELECT 1;

    Attributes:
        statements: in the words of the engine.
        expected: what the engine expects of each; None of what asks nothing, and of all if it was
            not asked.
        unasked: why it was not.
    """

    statements: tuple[str, ...]
    expected: tuple[Expected | None, ...]
    unasked: AbctlError | None = None

    @property
    def text(self) -> str:
        """The statements, as the engine can run them."""
        pairs = zip(self.statements, self.expected, strict=True)
        return "\n\n".join(f"-- {said.text}\n{sql}" if said else sql for sql, said in pairs)

    @property
    def document(self) -> dict[str, Any]:
        """The same for machines."""
        pairs = zip(self.statements, self.expected, strict=True)
        listed = [{"sql": sql, "expected": said and asdict(said)} for sql, said in pairs]
        return {"statements": listed}


def dry(session: Session) -> Dry:
    """What `analyze` would ask, and what the engine expects of it; no statement is run.

    Raises:
        UsageError: it takes nothing from tables.
    """
    found = _statements(session)
    source, none = session.experiment.source, (None,) * len(found)
    assert source is not None
    assert source.tables is not None, "there are statements"
    try:
        reach.require_agreement(session.experiment, counters=False)
        if source.tables.engine not in explain.ENGINES:
            raise UsageError(
                f"{source.tables.engine} is not asked what it expects",
                f"only {' and '.join(explain.ENGINES)} are",
            )
        return Dry(found, tuple(explain.expected(source.tables, found)))
    except AbctlError as error:
        return Dry(found, none, error)


def _statements(session: Session) -> tuple[str, ...]:
    source = session.experiment.source
    if source is None or source.tables is None:
        raise UsageError(
            f"--dry-run prints the SQL of source.table, which {session.experiment.name} has not",
            "abctl -v analyze EXPERIMENT says what counters are asked for",
        )
    ledger, now = known_ledger(session), session.clock()
    experiment = session.experiment if ledger is None else as_locked(ledger, session.experiment)
    draw = platform(experiment.platform).CAPABILITIES.draw
    return gather.statements(experiment, ledger, now, draw, kept.folder())


def known_ledger(session: Session) -> Ledger | None:
    """The ledger; None where nobody started the experiment in this world."""
    try:
        found: Ledger = book.read(session.world, session.experiment).ledger
    except NotFoundError:
        return None
    return found
