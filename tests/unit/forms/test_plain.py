"""Hints that have a name (PEP 695), as numpy's own from 2.5 on, mean what they stand for."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import TypeAliasType

from abctl.core.experiment import Design
from abctl.forms import DamagedError, Writer, value_of
from abctl.sources import Series

T = TypeVar("T", bound=Any)
Numbers = TypeAliasType("Numbers", np.ndarray[Any, np.dtype[T]], type_params=(T,))
Name = TypeAliasType("Name", str)
Nobody = TypeAliasType("Nobody", Name | None)
Names = TypeAliasType("Names", tuple[Name, ...])


@dataclass(frozen=True)
class Named:
    """Of aliases, of aliases of aliases, and of what they may lack."""

    times: Numbers[np.float64]
    counts: NDArray[np.int64]
    names: Names
    last: Name | None
    first: Nobody


def test_aliases_are_written_and_read_as_what_they_stand_for() -> None:
    given = Named(np.array([1.5, 2.5]), np.array([3, 4]), ("a", "b"), None, "a")
    writer = Writer()
    plain = writer.plain(given, Named)
    assert plain == {"times": 0, "counts": 1, "names": ["a", "b"], "last": None, "first": "a"}
    back = value_of(plain, Named, writer.arrays)
    assert (back.names, back.last, back.first) == (given.names, given.last, given.first)
    np.testing.assert_array_equal(back.times, given.times)
    np.testing.assert_array_equal(back.counts, given.counts)


WRONG: list[tuple[Any, Any, str]] = [
    (10**400, float, "too large"),
    (np.array([1.0, 2.0]), float, "must be something else than an array"),
    ({"labels": {}, "times": 0, "values": 1}, Series, "1 times of 2 values"),
    ({"alpha": 7.0}, Design, "alpha 7.0, must be in"),
]


@pytest.mark.parametrize(("plain", "hint", "words"), WRONG)
def test_what_was_never_written_is_damaged(plain: Any, hint: Any, words: str) -> None:
    if hint is Design:
        plain = Writer().plain(Design(), Design) | plain
    with pytest.raises(DamagedError, match=words):
        value_of(plain, hint, [np.array([1.0]), np.array([1.0, 2.0])], "it")
