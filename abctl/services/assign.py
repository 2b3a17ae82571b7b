"""Who gets which variant, for one id or a million."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from abctl.core.assignment import Assigned, by_salted_hash, explain
from abctl.core.experiment import Experiment
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import UsageError
from abctl.platforms import platform
from abctl.stats.estimate import NotEstimable


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


def assign(
    experiment: Experiment, split: Split, units: Iterable[str], headers: Mapping[str, str]
) -> Iterator[tuple[str, Assigned]]:
    """Each unit with its assignment, one at a time, so that any number of them fits.

    Args:
        experiment: its assignment rules.
        split: the split to go by.
        units: ids, as the header `assignment.key` would carry them.
        headers: further headers of every request.

    """
    rules = experiment.assignment
    draw = platform(experiment.platform).CAPABILITIES.draw or by_salted_hash
    for unit in units:
        yield unit, explain(rules, split, {**headers, rules.key: unit}, draw)


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
