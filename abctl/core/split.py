"""Shares of the variants, in basis points of a fixed total and in a fixed order.

A fixed total and order are what keeps users where they are: a point in [0, 10 000) is compared
with cumulated shares, so 70/30 and 7/3 must never be written differently (dataplanes disagree).
"""

import re
from dataclasses import dataclass

from abctl.errors import SpecError

TOTAL_BP = 10_000
_SHARE = re.compile(r"^\s*(\d+(?:\.(\d+))?)\s*(%?)\s*$", re.ASCII)
_DECIMALS = 2


def parse_share_bp(text: str) -> int:
    """'30%' or '12.5%' as basis points.

    >>> parse_share_bp("12.5%"), format_share(3000)
    (1250, '30%')

    Raises:
        SpecError: not a percentage of 0 to 100 with at most two decimals, or a number without `%`:
            0.3 could be 30% as well.
    """
    share_bp = _parse_bp(text)
    if share_bp and "%" not in text:
        number = float(text)
        also = f", or {number:.0%}" if number <= 1 else ""
        raise SpecError(f"share {text!r} has no unit, must say which", f"write {number:g}%{also}")
    return share_bp


def parse_shares_bp(text: str) -> tuple[int, ...]:
    """'70/30' as basis points; there the sum says that they are percent.

    Raises:
        SpecError: one is not a percentage.
    """
    return tuple(map(_parse_bp, text.split("/")))


def _parse_bp(text: str) -> int:
    match = _SHARE.match(text)
    if not match or float(match[1]) > 100:  # noqa: PLR2004 - percent
        raise SpecError(f"share {text!r}, must be from 0% to 100%", "write 30% or 12.5%")
    if len(match[2] or "") > _DECIMALS:
        raise SpecError(f"share {text!r}, must be in steps of 0.01%", "write 33.33% or 12.5%")
    return round(float(match[1]) * 100)


def format_share(share_bp: int) -> str:
    """3000 as '30%', 1250 as '12.5%'."""
    return f"{share_bp / 100:g}%"


@dataclass(frozen=True)
class Split:
    """The share of each variant in basis points; the first is the control.

    >>> split = Split(("control", "treatment"), (9000, 1000))
    >>> str(split.parse_change(("treatment=30%",)))
    'control 70%, treatment 30%'
    >>> split["treatment"], split.short
    (1000, '90/10')

    Raises:
        SpecError: a name stands twice, a share is missing or negative, or the sum is not 100%.
    """

    names: tuple[str, ...]
    shares_bp: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.shares_bp) or len(set(self.names)) != len(self.names):
            raise SpecError(
                f"split of {', '.join(self.names)}: {len(self.shares_bp)} shares",
                "one share for each variant, no name twice",
            )
        if any(share < 0 for share in self.shares_bp) or sum(self.shares_bp) != TOTAL_BP:
            total = format_share(sum(self.shares_bp))
            raise SpecError(
                f"split {self} makes the sum {total}, must be 100%",
                f"one share for each of {', '.join(self.names)}; the control may be left out",
            )

    def __str__(self) -> str:
        shares = zip(self.names, self.shares_bp, strict=True)
        return ", ".join(f"{name} {format_share(share)}" for name, share in shares)

    @property
    def short(self) -> str:
        """`70/30`: as it is given to a command, which `parse_change` reads."""
        return "/".join(f"{share / 100:g}" for share in self.shares_bp)

    def __getitem__(self, name: str) -> int:
        """The share of a variant in basis points."""
        return self.shares_bp[self.names.index(name)]

    def get(self, name: str) -> int | None:
        """The share of a variant in basis points; None where the split has no such variant."""
        return self[name] if name in self.names else None

    @property
    def control(self) -> str:
        """The first variant."""
        return self.names[0]

    @property
    def ratios(self) -> dict[str, float]:
        """The share of each variant as machines read it: `{"control": 0.7, "treatment": 0.3}`."""
        return {name: self[name] / TOTAL_BP for name in self.names}

    def with_shares(self, wanted: dict[str, int]) -> "Split":
        """Change some shares; the control takes what is left, unless it is named.

        Of two variants the other one takes it.
        """
        unknown = sorted(set(wanted) - set(self.names))
        if unknown:
            raise SpecError(f"no variant {unknown[0]!r}", f"variants: {', '.join(self.names)}")
        shares = dict(zip(self.names, self.shares_bp, strict=True)) | wanted
        if len(self.names) == 2 and len(wanted) == 1:  # noqa: PLR2004 - a pair
            (named,) = wanted
            (other,) = set(self.names) - {named}
            shares[other] = TOTAL_BP - shares[named]
        elif self.control not in wanted:
            rest = TOTAL_BP - sum(shares[name] for name in self.names[1:])
            if rest < 0:
                over = format_share(TOTAL_BP - rest)
                raise SpecError(
                    f"the treatments sum to {over}, over 100%",
                    "give each that changes",
                )
            shares[self.control] = rest
        return Split(self.names, tuple(shares[name] for name in self.names))

    def parse_change(self, words: tuple[str, ...]) -> "Split":
        """`('treatment=30%',)` or `('50/50',)` as a new split of the same variants.

        A word may hold several changes with commas between them.

        Raises:
            SpecError: an unknown variant, a share that is not a percentage, a sum that is not 100%.
        """
        words = tuple(" ".join(words).replace(",", " ").split())
        if not words:
            raise SpecError("no split given", "write treatment=30% or 70/30")
        if len(words) == 1 and "/" in words[0]:
            shares = parse_shares_bp(words[0])
            if len(shares) != len(self.names):
                raise SpecError(
                    f"{words[0]!r}: {len(shares)} shares, {len(self.names)} variants",
                    f"one share for each of {', '.join(self.names)}, in this order",
                )
            return Split(self.names, shares)
        if any("/" in word and "=" not in word for word in words):
            raise SpecError(
                f"the split is given twice: {' '.join(words)}",
                "give it once: 70/30, or treatment=30%",
            )
        wanted = {}
        for word in words:
            name, equals, share = word.partition("=")
            if not equals:
                raise SpecError(f"{word!r} is not a split", "write treatment=30% or 70/30")
            if name in wanted:
                raise SpecError(f"{name!r} is given twice", "one share for each variant")
            wanted[name] = parse_share_bp(share)
        return self.with_shares(wanted)
