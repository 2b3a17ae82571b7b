"""Who gets which variant, for one id or a million."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from abctl.core.assignment import Assigned, by_salted_hash, explain
from abctl.core.experiment import Experiment
from abctl.core.split import TOTAL_BP, Split
from abctl.core.time import format_moment
from abctl.errors import ClusterError, NotFoundError, UsageError
from abctl.forms.ledger import ledger_of
from abctl.platforms import platform
from abctl.session import ledger
from abctl.session.open import Where, open_session
from abctl.session.session import Session
from abctl.stats.estimate import NotEstimable


@dataclass(frozen=True)
class Basis:
    """The split that assignments go by.

    Attributes:
        split: the split.
        of: who says so: the ledger, the file (where it starts), or the user.
        since: when the ledger noted it, in unix seconds; None where it is not the ledger's.
        words: all of that, for people.
    """

    split: Split
    of: Literal["ledger", "file", "option"]
    since: float | None
    words: str


@dataclass(frozen=True)
class Census:
    """How many units each variant got.

    Attributes:
        units: by variant, those that chance put there.
        outside: by variant, those that were sent there (forced, cohorts, no id).
        p: chi-squared of `units` against the split; None where there are too few to say.
    """

    split: Split
    units: Mapping[str, int]
    outside: Mapping[str, int]
    p: float | None


def basis_of(
    experiment: Experiment, file: Path, where: Where, report: Callable[[str], None]
) -> Basis:
    """The split of the ledger, if there is one to be found; else that of the file.

    Who names no world may have none, or one that does not answer now: the file is at hand.

    Args:
        experiment: whose split.
        file: its file.
        where: what the user said about the world.
        report: told which cluster it is, if one was meant.

    Raises:
        ClusterError: the world that was named cannot be read.
        NotFoundError: no stack was started in the folder that was named.
    """
    try:
        session = open_session(str(file), where, experiment)
        if where.cluster:
            report(f"in {session.words}")
        found = _by_ledger(session)
    except ClusterError as error:
        if where.state or where.cluster:
            raise
        return _starting(experiment, f"the ledger cannot be read: {error.message}")
    if where.state and found.of == "file" and not where.state.exists():
        raise NotFoundError(
            f"--state {where.state}: no local stack was started there",
            "leave it out to go by the split that the file starts with",
        )
    return found


def _by_ledger(session: Session) -> Basis:
    """The split of the ledger, where there is one; else that of the file.

    Raises:
        ClusterError: the ledger cannot be read.
    """
    experiment, where = session.experiment, session.words
    try:
        known = ledger_of(ledger.find(session.world, experiment))
    except NotFoundError:
        return _starting(experiment, f"nothing has been applied in {where}")
    if known.wanted.names != experiment.split.names:
        there = " and ".join(known.wanted.names)
        return _starting(experiment, f"the ledger in {where} is of other variants, {there}")
    noted = [entry for entry in known.moves if entry.phase != "intent"]
    if not noted:
        return _starting(experiment, f"in {where} it is not known to be in effect yet")
    last = noted[-1]
    since = format_moment(last.at, "seconds")
    words = f"by the ledger's split since {since} ({last.after}) in {where}"
    if intent := known.intent:
        words += f"; a shift to {intent.after} is not finished: some users may be there already"
    if "assignment" in known.changed_since(experiment):
        words += "; warning: assignment of the file differs from what was locked at the start"
    return Basis(last.after, "ledger", last.at, words)


def _starting(experiment: Experiment, why: str) -> Basis:
    """The split that the file starts with, and why it is that one."""
    words = f"by the file's starting split ({experiment.split}): {why}"
    return Basis(experiment.split, "file", None, words)


def assign(
    experiment: Experiment,
    split: Split,
    units: Iterable[str],
    headers: Mapping[str, str],
    encoding: str = "utf-8",
) -> Iterator[tuple[str, Assigned]]:
    """Each unit with its assignment, one at a time, so that any number of them fits.

    Args:
        experiment: its assignment rules.
        split: the split to go by.
        units: ids, as the header `assignment.key` would carry them.
        headers: further headers of every request.
        encoding: how clients write an id into a header: data planes compare bytes.

    Raises:
        UsageError: an id that the encoding does not have.
    """
    rules = experiment.assignment
    draw = platform(experiment.platform).CAPABILITIES.draw or by_salted_hash
    for unit in units:
        try:
            sent = unit.encode(encoding).decode(errors="surrogateescape")
        except UnicodeEncodeError:
            hint = "which bytes do clients send? --encoding utf-8, or latin-1"
            raise UsageError(f"id {unit!r} cannot be written in {encoding}", hint) from None
        yield unit, explain(rules, split, {**headers, rules.key: sent}, draw)


def count(split: Split, assigned: Iterable[tuple[str, Assigned]]) -> Census:
    """Count assignments, and test those that chance made against the split.

    Raises:
        UsageError: each request is drawn by itself, so that there is nothing to count.
    """
    from abctl.stats import srm  # noqa: PLC0415 - scipy takes a second that few ids do not need

    seen = Counter((who.variant, who.randomized) for _, who in assigned)
    if seen[None, True]:
        raise UsageError(
            "each request is drawn by itself, so ids say nothing about the split",
            "assignment.unit user keeps users where they are",
        )
    units = {name: seen[name, True] for name in split.names}
    shares = [[share / TOTAL_BP for share in split.shares_bp]]
    test = srm.fixed([list(units.values())], shares)
    outside = {name: seen[name, False] for name in split.names}
    return Census(split, units, outside, None if isinstance(test, NotEstimable) else test.p)
