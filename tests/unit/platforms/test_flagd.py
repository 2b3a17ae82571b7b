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
from abctl.platforms import _flag_rules, envoy, flagd
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


@pytest.mark.slow
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


def made(fractional, **flag):
    rule = {"variants": {"a": 1, "b": 2}, "defaultVariant": "a", "state": "ENABLED", **flag}
    flags = {"f": {**rule, "targeting": {"fractional": fractional}}}
    ref = {"apiVersion": "v1", "kind": "FeatureFlag", "metadata": {"name": "mine"}}
    return {**ref, "spec": {"flagSpec": {"flags": flags}}}


def test_what_has_no_weight_has_one():
    obj = made([["a"], ["b", 3]])
    assert flagd.split_of(obj).shares_bp == (2500, 7500)
    after = flagd.with_split(obj, Split(("a", "b"), (6000, 4000)))
    assert after == made([["a", 6000], ["b", 4000]])


def test_a_flag_that_nobody_follows_is_said():
    assert flagd.refusal(made([["a", 1], ["b", 1]])) is None
    off = made([["a", 1], ["b", 1]], state="DISABLED")
    assert "flag f is DISABLED" in flagd.refusal(off)
    # A rollback goes through.
    assert flagd.split_of(flagd.with_split(off, Split(("a", "b"), (10_000, 0)))).shares_bp[1] == 0


def test_the_control_is_what_the_flag_gives_by_default():
    assert flagd.CAPABILITIES.control(made([["b", 1], ["a", 1]])) == "a"
    assert flagd.CAPABILITIES.control(made([["b", 1], ["c", 1]])) is None


def test_a_variant_that_the_flag_has_not_would_fail_every_evaluation():
    (found,) = flagd.objections(made([["a", 1], ["c", 1]]))
    assert found.endswith("flag f has no variant c")


def test_it_is_refused_what_no_flag_can_draw(make_experiment):
    (found,) = [m for m in flagd.misfits(make_experiment(unit="request")) if len(m.place) == 2]
    assert found.place == ("assignment", "unit")


def test_the_hash_is_chosen_where_there_are_two(make_experiment):
    chosen = make_experiment(hash="flagd-cbor")
    assert not [m for m in flagd.misfits(chosen) if "hash" in m.place]
    (found,) = [m for m in envoy.misfits(chosen) if "hash" in m.place]
    assert found.message == "flagd-cbor, but envoy has a hash of its own"
