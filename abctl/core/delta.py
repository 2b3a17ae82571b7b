"""Sizes of effects as people write them: `2pp`, `2%`, `0.5abs`; never a bare number."""

from abctl.core.experiment import SHARES, Kind
from abctl.errors import SpecError
from abctl.stats.delta import UNITS, Delta, delta_of


def parse_delta(text: str) -> Delta:
    """`2pp`, `2%` or `0.5abs` as a size of effect.

    >>> parse_delta("2pp"), parse_delta("2%"), parse_delta("0.5abs")
    (Delta(value=0.02, relative=False), Delta(value=0.02, relative=True),
     Delta(value=0.5, relative=False))

    Raises:
        SpecError: not a number with a unit, negative, or too large; a bare number could mean any of
            the three.
    """
    try:
        return delta_of(text)
    except ValueError as error:
        raise SpecError(str(error), UNITS) from None


def format_delta(delta: Delta, kind: Kind = "proportion") -> str:
    """The text that `parse_delta` reads back; points for proportions, `abs` for other kinds."""
    if delta.relative:
        return f"{delta.value * 100:.12g}%"
    return f"{delta.value * 100:.12g}pp" if kind in SHARES else f"{delta.value:.12g}abs"
