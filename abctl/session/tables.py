"""From tables of exposures and events to the analysis of an experiment, with a ledger or without.

Without a cluster or a stack there is no ledger: then the split of the file is taken to have stood.
"""

from abctl.analysis.judge_units import OfUnits
from abctl.core.ledger import Ledger
from abctl.errors import NotFoundError, UsageError
from abctl.forms.plan import as_locked
from abctl.platforms import platform
from abctl.session import ledger as book
from abctl.session.session import Session
from abctl.spec import reach
from abctl.tables import gather, kept


def of_units(session: Session, ledger: Ledger | None, now: float) -> OfUnits:
    """What the tables of an experiment say.

    Raises:
        UsageError: a file, a driver or an environment variable is missing.
        SourceError: the tables cannot be read, or what the file wants to send was not allowed.
    """
    given = session.experiment
    reach.require_agreement(given, counters=False)
    experiment = given if ledger is None else as_locked(ledger, given)
    draw = platform(experiment.platform).CAPABILITIES.draw
    evidence = gather.gather(experiment, ledger, now, draw, kept.folder())
    return OfUnits(experiment, evidence, ledger)


def statements(session: Session) -> tuple[str, ...]:
    """What `analyze` would ask the tables, in order.

    Raises:
        UsageError: it takes nothing from tables.
    """
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
