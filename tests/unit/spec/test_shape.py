"""Parts of a file: what is given, what is left out, and every wrong shape at its place."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pytest

from abctl.errors import SpecError
from abctl.spec.fields import Flag, Header, Part, Text, between, whole
from abctl.spec.shape import read


class Wheel(Part):
    """A part of a part."""

    size: Annotated[int, whole(1, 30)]
    """How large it is."""


class Car(Part):
    """A part with everything that a part can hold."""

    color: Literal["red", "blue"]
    """Which color it has."""
    wheels: tuple[Wheel, ...] = ()
    """What it stands on."""
    top_speed: Annotated[float, between(0, 300)] = 120.0
    """How fast it goes."""
    driver: Text | None = None
    """Who drives it."""
    labels: Mapping[Header, Text] = MappingProxyType({})
    """What is written on it."""
    used: Flag = False
    """Whether somebody had it before."""


def wrong(**given: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read(Car, {"color": "red"} | given, "car.yaml")
    return [*caught.value.message.splitlines(), caught.value.hint]


def test_everything_that_is_given_arrives() -> None:
    given = {
        "color": "blue",
        "wheels": [{"size": "15"}, {"size": "16"}],
        "topSpeed": "99.5",
        "driver": " Ann ",
        "labels": {"X-Number": "7"},
        "used": "true",
    }
    car = read(Car, given, "car.yaml")
    assert [wheel.size for wheel in car.wheels] == [15, 16]
    assert (car.color, car.top_speed, car.driver, car.used) == ("blue", 99.5, "Ann", True)
    assert car.labels == {"x-number": "7"}
    assert car.given().keys() == car.values().keys()


def test_what_is_left_out_or_empty_is_as_in_the_class() -> None:
    for given in ({"color": "red"}, {"color": "red", "driver": None}):
        car = read(Car, given, "car.yaml")
        assert (car.wheels, car.top_speed, car.driver, car.used) == ((), 120.0, None, False)
        assert car.given() == {"color": "red"}


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"used": "yes"}, "used in car.yaml: 'yes', must be true or false", "used: Whether "),
        ({"used": None}, "used in car.yaml: is empty", "used: Whether "),
        ({"labels": ["a"]}, "labels in car.yaml: a list, must be a mapping", "labels: What "),
        ({"labels": {"a b": "c"}}, "labels.a b in car.yaml: 'a b', must be the name ", "labels: "),
        ({"labels": {"a": {}}}, "labels.a in car.yaml: a mapping, must be text", "labels: What "),
        ({"wheels": {}}, "wheels in car.yaml: a mapping, must be a list", "wheels: What "),
        ({"wheels": [None]}, "wheels[0] in car.yaml: is empty", "wheels: What "),
        (
            {"wheels": [{"size": "15"}, {"size": "1.5"}]},
            "wheels[1].size in car.yaml: '1.5', must be a whole number",
            "size: How large it is.",
        ),
        (
            {"topSpeed": "nan"},
            "topSpeed in car.yaml: 'nan', must be greater than 0",
            "topSpeed: How fast it goes. 120.0 if left out.",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_it_is_for(
    given: dict[str, Any], message: str, hint: str
) -> None:
    told = wrong(**given)
    assert told[0].startswith(message)
    assert told[1].startswith(hint)


def test_all_of_them_at_once_each_at_its_place() -> None:
    assert wrong(wheels=[{"size": "99"}, {"sice": "1"}], topSpeed="fast", doors="3") == [
        "5 problems in car.yaml:",
        "  doors: unknown key",
        "  wheels[0].size: '99', must be less than or equal to 30",
        "  wheels[1].sice: unknown key",
        "  wheels[1].size: is missing",
        "  topSpeed: 'fast', must be a number",
        "did you mean color?",
    ]
