"""The plan of what runs already: locked for objects that others applied, or changed on record."""

from collections.abc import Sequence
from dataclasses import replace

from abctl.core.change import Object
from abctl.core.doubts import ACCEPTABLE
from abctl.core.ledger import Ledger
from abctl.errors import ConflictError, NotFoundError, UsageError
from abctl.forms.ledger import new_object, with_ledger
from abctl.forms.plan import locked_plan
from abctl.session import ledger
from abctl.session.apply import announce
from abctl.session.ledger import Book
from abctl.session.rivals import require_alone
from abctl.session.session import Session
from abctl.session.sight import version_of
from abctl.session.tombstones import require_fresh

# What makes it another experiment.
_FIXED = ("name", "namespace", "platform")


def adopt(session: Session, *, why: str, force: bool = False) -> Ledger:
    """Start the ledger of an experiment whose objects somebody else has applied.

    No object is written but the ledger. See `adoption`.
    """
    known = _write(session, adoption(session, why=why, force=force))
    announce(session, known.entries[-1])
    return known


def _write(session: Session, book: Book) -> Ledger:
    verb = session.world.replace if book.version else session.world.create
    return Book.of(verb(book.obj)).ledger


def adoption(session: Session, *, why: str, force: bool = False) -> Book:
    """The ledger that `adopt` would write.

    A ledger that a shift of KIND/NAME began gets the plan: what came before was not planned, and
    does not count.

    Args:
        session: the experiment in its cluster.
        why: for the ledger.
        force: also beside an experiment that has the same host or Services.

    Raises:
        NotFoundError: the object that carries the split is not there.
        ConflictError: it is of other variants, or a plan was locked already.
    """
    experiment, target = session.experiment, session.target
    try:
        carrier = session.world.get(target)
    except NotFoundError as error:
        hint = "apply it first, by whatever applies it; or abctl apply makes everything"
        raise NotFoundError(error.message, hint) from None
    asked = session.platform.split_of(carrier)
    if asked.names != experiment.split.names:
        raise ConflictError(
            f"{target} is of {' and '.join(asked.names)}, the file of "
            f"{' and '.join(experiment.split.names)}",
            "name the variants of the file as the object does, the control first",
        )
    try:
        book = ledger.read(session.world, experiment)
    except NotFoundError:
        require_fresh(session)
        require_alone(session, carrier, force=force)
        first = session.entry(None, asked, why, "observed", version=version_of(carrier))
        made = new_object(experiment, first, _meaning(session), target=target)
        return Book.of(made).of_carrier(carrier)
    if not book.ledger.without_plan:
        raise ConflictError(
            f"experiment {experiment.name} was started already, with a plan",
            "abctl amend changes it on record",
        )
    return _with_plan(session, book.of_carrier(carrier), why, ("plan",))


def amend(session: Session, *, why: str, dry_run: bool = False) -> Ledger:
    """Change the locked plan to what the file says, on record; only what comes then counts.

    Args:
        session: the experiment in its world.
        why: for the ledger; it must say something.
        dry_run: only say what it would be.

    Raises:
        UsageError: nothing differs, or no reason is given.
        ConflictError: it would be another experiment, or a shift is not finished.
        NotFoundError: the experiment was not started.
    """
    if not why.strip():
        raise UsageError(
            "a change of the plan needs a reason", "--why 'the margin was a typing error'"
        )
    book = ledger.read(session.world, session.experiment)
    known, experiment = book.ledger, session.experiment
    if known.without_plan:
        raise ConflictError(
            "no plan was locked: a shift of KIND/NAME began the ledger",
            "abctl adopt locks the file",
        )
    parts = known.changed_since(experiment)
    if not parts:
        raise UsageError("the file is as it was locked", "change it first, then amend the plan")
    fixed = [part for part in parts if part in _FIXED]
    if fixed or known.wanted.names != experiment.split.names:
        raise ConflictError(
            f"another {', '.join(fixed) or 'set of variants'} is another experiment",
            "give it a name of its own; abctl delete ends this one",
        )
    changed = _with_plan(session, book, why, parts)
    if dry_run:
        return changed.ledger
    written = _write(session, changed)
    announce(session, written.entries[-1])
    return written


def accept(session: Session, codes: Sequence[str], *, why: str, dry_run: bool = False) -> Ledger:
    """Let reasons of some codes keep nothing from being shipped any more, on record.

    The plan and what was counted stay. Of values of unknown age those are accepted that were seen
    before, and no later ones.

    Args:
        session: the experiment in its world.
        codes: some of `ACCEPTABLE`.
        why: for the ledger; it must say something.
        dry_run: only say what it would be.

    Raises:
        UsageError: another code, or no reason is given.
        ConflictError: a shift is not finished.
        NotFoundError: the experiment was not started.
    """
    for code in codes:
        if code not in ACCEPTABLE:
            raise UsageError(
                f"{code} cannot be accepted, only {' or '.join(ACCEPTABLE)}",
                "abctl why says what would settle the others",
            )
    if not why.strip():
        raise UsageError(
            "what is accepted needs a reason", "--why 'the first scrape was of the load test'"
        )
    book = ledger.read(session.world, session.experiment)
    known = _finished(book.ledger)
    parts = tuple(dict.fromkeys(codes))
    entry = session.entry(known.desired, known.wanted, why, "accepted", parts=parts)
    after = known.with_entry(entry)
    if dry_run:
        return after
    written = _write(session, Book(with_ledger(book.obj, after), after))
    announce(session, written.entries[-1])
    return written


def _finished(known: Ledger) -> Ledger:
    if known.intent:
        raise ConflictError(
            f"a shift of {known.intent.actor} to {known.intent.after} is not finished",
            "finish or revert it first: abctl status",
        )
    return known


def _with_plan(session: Session, book: Book, why: str, parts: tuple[str, ...]) -> Book:
    known = _finished(book.ledger)
    entry = session.entry(known.desired, known.wanted, why, "amended", parts=parts)
    plan = locked_plan(session.experiment, _meaning(session))
    changed = replace(known, plan=plan).with_entry(entry)
    return Book(with_ledger(_with_old_plan(book.obj, known), changed), changed)


def _with_old_plan(obj: Object, known: Ledger) -> Object:
    """The plan that held until now stays on record, under the number of its last entry."""
    number = len(known.entries)
    return {**obj, "data": {**obj["data"], f"plan.until-{number}.json": known.plan}}


def _meaning(session: Session) -> dict[str, dict[str, str]]:
    from abctl.analysis.meaning import meaning  # noqa: PLC0415 - statistics are slow to import

    return {name: dict(each) for name, each in meaning(session.experiment).items()}
