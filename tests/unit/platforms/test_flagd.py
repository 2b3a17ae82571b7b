"""flagd's flag: who gets which variant, as its own evaluators say, and what is refused."""

import json
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from abctl.core.assignment import explain
from abctl.core.experiment import Assignment
from abctl.core.split import Split
from abctl.platforms import _flag_rules, flagd
from abctl.platforms._flag_hashes import cbor, murmur3

# What evaluators said of 20,000 users; `how` in it says how they were asked.
SEEN = json.loads((Path(__file__).parent / "flagd_evaluators.json").read_text())
CASES = {
    case["key"]: Split(tuple(case["names"]), tuple(case["sharesBp"])) for case in SEEN["cases"]
}
RULES = Assignment("user", "x-user-id", SEEN["salt"])


def users():
    for i in range(20_000):
        long = 250 * "x" if i % 100 == 3 else ""
        yield (f"user-{i}", f"{i:036d}", f"zoë-{i}", f"{i}@example.com{long}")[i % 4]


@cache
def drawn(key, name):
    rules, split = replace(RULES, hash=name), CASES[key]
    return [flagd.CAPABILITIES.draw(rules, split, unit).variant for unit in users()]


@pytest.mark.parametrize("key", CASES)
def test_the_evaluators_were_asked_for_the_flag_that_is_rendered(key, make_experiment):
    split = CASES[key]
    experiment = make_experiment(*split.names, shares_bp=split.shares_bp, salt=SEEN["salt"])
    assert _flag_rules.flag(experiment) == SEEN["flags"][key]


@pytest.mark.parametrize("name", flagd.CAPABILITIES.hashes)
@pytest.mark.parametrize("key", CASES)
def test_every_user_gets_what_an_evaluator_gives(key, name):
    found = sha256("\n".join(drawn(key, name)).encode()).hexdigest()
    seen = [each["sha256"][key] for each in SEEN["evaluators"] if each["hash"] == name]
    assert seen
    assert set(seen) == {found}


def test_the_two_hashes_are_as_if_drawn_independently():
    one, other = (drawn("70-30", name) for name in flagd.CAPABILITIES.hashes)
    differ = sum(a != b for a, b in zip(one, other, strict=True)) / len(one)
    assert differ == pytest.approx(2 * 0.7 * 0.3, abs=0.015)


def test_a_shift_moves_users_only_between_the_control_and_what_grew():
    before, after = (drawn(key, "flagd") for key in ("three", "three-shifted"))
    moved = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
    assert moved == {("control", "t-1")}


def test_a_text_is_written_as_cbor_writes_it():
    # RFC 8949, appendix A, and the first length of each size.
    assert cbor("ü".encode()) == bytes.fromhex("62c3bc")
    for size, head in ((23, "77"), (24, "7818"), (255, "78ff"), (256, "790100"), (65535, "79ffff")):
        assert cbor(bytes(size)).hex().removesuffix("00" * size) == head
    with pytest.raises(ValueError, match="65536 bytes"):
        cbor(bytes(65536))


@pytest.mark.parametrize(
    ("text", "seed", "found"),
    [
        ("", 0, 0),
        ("", 1, 0x514E28B7),
        ("test", 0x9747B28C, 0x704B81DC),
        ("Hello, world!", 0x9747B28C, 0x24884CBA),
    ],
)
def test_murmur3_is_that_of_its_published_vectors(text, seed, found):
    assert murmur3(text.encode(), seed) == found


def test_nobody_without_a_key_is_in_the_experiment():
    found = explain(RULES, CASES["70-30"], {}, flagd.CAPABILITIES.draw)
    assert (found.variant, found.randomized) == ("control", False)
    assert all(each["keyless"] == ["control", "DEFAULT"] for each in SEEN["evaluators"])
