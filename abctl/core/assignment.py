"""Who gets which variant: the arithmetic of the data plane, so any assignment can be explained.

Envoy with `use_hash_policy` takes `xxh64(key, seed 0) % total weight` and the first cluster whose
cumulated weight exceeds it; with a salt prepended by `regex_rewrite` the key is "salt:unit".
"""

from dataclasses import dataclass

import xxhash

from abctl.core.split import TOTAL_BP, Split, format_share
from abctl.errors import SpecError


def point(salt: str, unit: str) -> int:
    """Where a unit lies in [0, 10 000): xxh64 of "salt:unit", modulo the total."""
    return xxhash.xxh64_intdigest(f"{salt}:{unit}".encode()) % TOTAL_BP


def bucket(salt: str, unit: str, buckets: int) -> int:
    """The unit's bucket for variances; independent of its point."""
    return xxhash.xxh64_intdigest(f"bucket:{salt}:{unit}".encode()) % buckets


@dataclass(frozen=True)
class Region:
    """Points [start, stop) of a variant."""

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
    """The variant that owns a point."""
    return next(r.variant for r in regions(split) if at < r.stop)
