"""Who gets which variant: the arithmetic of the data plane, so every assignment can be explained.

Envoy with `use_hash_policy` takes `xxh64(key, seed 0) % total weight` and the first cluster whose
cumulated weight exceeds it; with a salt prepended by `regex_rewrite` the key is "salt:unit".
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import xxhash

from abctl.core.experiment import Assignment
from abctl.core.split import TOTAL_BP, Split, format_share
from abctl.errors import SpecError

# Headers of every answer: whose it is, the bucket of its unit, and what feedback sends back.
VARIANT_HEADER, BUCKET_HEADER, TOKEN_HEADER = "x-ab-variant", "x-ab-bucket", "x-ab-token"


def point(salt: str, unit: str) -> int:
    """The point of a unit in [0, 10 000): xxh64 of "salt:unit", modulo the total.

    >>> point("iris-1", "ann"), point("iris-1", "bob")
    (3220, 6805)
    """
    return xxhash.xxh64_intdigest(hashed(f"{salt}:{unit}")) % TOTAL_BP


def bucket(salt: str, unit: str, buckets: int) -> int:
    """The unit's bucket for variances; independent of its point."""
    return xxhash.xxh64_intdigest(hashed(f"bucket:{salt}:{unit}")) % buckets


def hashed(text: str) -> bytes:
    r"""The bytes of a text of which data planes take the hash: as a request's header has them.

    >>> hashed("é"), hashed(b"\xe9".decode(errors="surrogateescape"))
    (b'\xc3\xa9', b'\xe9')

    A byte that is no UTF-8 is what Python decodes it to with `surrogateescape`.
    """
    return text.encode(errors="surrogateescape")


@dataclass(frozen=True)
class Region:
    """Points [start, stop) of a variant.

    >>> regions(Split(("control", "treatment"), (7000, 3000)))[1]
    Region(variant='treatment', start=7000, stop=10000)
    """

    variant: str
    start: int
    stop: int


def regions(split: Split) -> tuple[Region, ...]:
    """Consecutive regions that cover all points; a variant may own several, no region is empty.

    Law: a changed split moves units only between the control and the treatments whose shares
    changed. With one treatment, it grows down from the top. With more, treatment i grows up from
    the fixed point i * 10 000 / k and the control fills the gaps; so a share is bounded by the
    width 10 000 / k, except that a treatment may have everything (a promotion).

    Raises:
        SpecError: a treatment too large for its own region.
    """
    treatments = split.names[1:]
    if len(treatments) <= 1 or TOTAL_BP in split.shares_bp:
        cut, found = 0, []
        for name, share in zip(split.names, split.shares_bp, strict=True):
            found.append(Region(name, cut, cut + share))
            cut += share
        return tuple(r for r in found if r.stop > r.start)
    found, starts = [], [i * TOTAL_BP // len(treatments) for i in range(len(treatments) + 1)]
    for i, name in enumerate(treatments):
        end = starts[i] + split[name]
        if end > starts[i + 1]:
            width = format_share(starts[i + 1] - starts[i])
            raise SpecError(
                f"{name} at {format_share(split[name])}: more than its region of {width}",
                f"with {len(treatments)} treatments each can have up to {width} (or 100%), so that "
                "no user ever moves from one treatment to another",
            )
        found += [Region(name, starts[i], end), Region(split.control, end, starts[i + 1])]
    return tuple(r for r in found if r.stop > r.start)


def variant_at(split: Split, at: int) -> str:
    """The variant that owns a point of [0, 10 000)."""
    stops, owners = _lookup(split)
    return owners[bisect_right(stops, at)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hash puts a unit: `variant` owns the points [start, stop) around `point`.

    >>> place_at(Split(("control", "treatment"), (7000, 3000)), 8123)
    Place(variant='treatment', point=8123, start=7000, stop=10000)
    """

    variant: str
    point: int
    start: int
    stop: int


# How a data plane places a unit: by the rules, the split and the unit's id.
Draw = Callable[[Assignment, Split, str], Place]


def by_salted_hash(rules: Assignment, split: Split, unit: str) -> Place:
    """As Envoy does with the routes that abctl writes."""
    return place_at(split, point(rules.salt, unit))


def place_at(split: Split, at: int) -> Place:
    """The place of a point of [0, 10 000)."""
    stops, owners = _lookup(split)
    index = bisect_right(stops, at)
    return Place(owners[index], at, stops[index - 1] if index else 0, stops[index])


@lru_cache(maxsize=64)
def _lookup(split: Split) -> tuple[tuple[int, ...], tuple[str, ...]]:
    found = regions(split)
    return tuple(region.stop for region in found), tuple(region.variant for region in found)


@dataclass(frozen=True, slots=True)
class Assigned:
    """Where one request goes, and why.

    >>> rules = Assignment(unit="user", key="x-user-id", salt="iris-1")
    >>> split = Split(("control", "treatment"), (7000, 3000))
    >>> explain(rules, split, {"X-User-Id": "ann"}).why
    'point 3220 is in 0..6999 of control'
    >>> explain(rules, split, {}).why
    'x-user-id is missing: not in the experiment'

    Attributes:
        variant: None where each request is drawn by itself and cannot be predicted.
        point: in [0, 10 000), where the hash decides.
        bucket: for variances, where the unit is in the experiment.
        why: in words.
        randomized: whether the experiment's own split decided by chance; only then does the
            request count.
    """

    variant: str | None
    point: int | None
    bucket: int | None
    why: str
    randomized: bool


def explain(
    rules: Assignment, split: Split, headers: Mapping[str, str], draw: Draw = by_salted_hash
) -> Assigned:
    """Explain where a request with these headers goes, step by step as the data plane does.

    The first that applies decides: the override, the cohorts in their order, no key, the hash.
    Names of headers are compared without case, values without the blanks around them (HTTP).
    `draw` is the platform's own arithmetic.
    """
    values = {name.lower(): value.strip(" \t") for name, value in headers.items()}
    forced = values.get(rules.override) if rules.override is not None else None
    if forced in split.names:
        return Assigned(forced, None, None, f"forced by {rules.override}: {forced}", False)
    unit = values.get(rules.key, "")
    for cohort in rules.cohorts:
        if values.get(cohort.header) != cohort.value:
            continue
        why = f"cohort {cohort.header}: {cohort.value}"
        if cohort.variant is not None:
            return Assigned(cohort.variant, None, None, why, False)
        if cohort.split is not None and (unit or rules.unit == "request"):
            intro = f"{why} has {cohort.split}; "
            return _drawn(rules, cohort.split, unit, draw, why=intro, randomized=False)
    if rules.unit != "request" and not unit:
        why = (
            f"{rules.key} is {'empty' if rules.key in values else 'missing'}: not in the experiment"
        )
        return Assigned(split.control, None, None, why, False)
    return _drawn(rules, split, unit, draw, why="", randomized=True)


def _drawn(
    rules: Assignment, split: Split, unit: str, draw: Draw, *, why: str, randomized: bool
) -> Assigned:
    own = bucket(rules.salt, unit, rules.buckets) if unit and randomized else None
    if rules.unit == "request":
        why += f"each request is drawn by itself: {split}"
        return Assigned(None, None, own, why, randomized)
    place = draw(rules, split, unit)
    why += f"point {place.point} is in {place.start}..{place.stop - 1} of {place.variant}"
    return Assigned(place.variant, place.point, own, why, randomized)
