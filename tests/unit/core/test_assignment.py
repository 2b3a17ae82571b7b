"""Assignment: who moves when the split changes, and that the hash draws as chance does."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from laws import law

from abctl.core.assignment import bucket, point, regions, variant_at
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import SpecError

NAMES = ("control", "t1", "t2", "t3")
POINTS = range(TOTAL_BP)


@st.composite
def splits(draw: st.DrawFn, variants: int) -> Split:
    """Any split in which each treatment fits into its region."""
    width = TOTAL_BP // (variants - 1)
    shares = [draw(st.integers(0, width)) for _ in range(variants - 1)]
    return Split(NAMES[:variants], (TOTAL_BP - sum(shares), *shares))


@st.composite
def changes(draw: st.DrawFn) -> tuple[Split, Split]:
    """Two splits of the same variants."""
    variants = draw(st.integers(2, 4))
    return draw(splits(variants)), draw(splits(variants))


def owners(split: Split) -> list[str]:
    return [variant_at(split, at) for at in POINTS]


@given(st.integers(2, 4).flatmap(splits))
def test_regions_cover_every_point_once_and_give_each_variant_its_share(split: Split) -> None:
    found = regions(split)
    assert found[0].start == 0
    assert found[-1].stop == TOTAL_BP
    assert all(left.stop == right.start for left, right in pairwise(found))
    assert all(region.start < region.stop for region in found)
    for name in split.names:
        assert sum(r.stop - r.start for r in found if r.variant == name) == split[name]
    assert owners(split) == [r.variant for r in found for _ in range(r.start, r.stop)]


@law(60)
@given(changes())
def test_a_change_moves_units_only_between_the_control_and_a_changed_treatment(
    change: tuple[Split, Split],
) -> None:
    before, after = change
    for old, new in set(zip(owners(before), owners(after), strict=True)):
        if old != new:
            assert "control" in {old, new}
            treatment = ({old, new} - {"control"}).pop()
            assert before[treatment] != after[treatment]


@law(60)
@given(splits(3), st.data())
def test_a_growing_treatment_takes_units_only_from_the_control(
    before: Split, data: st.DataObject
) -> None:
    grown = data.draw(st.integers(before["t2"], TOTAL_BP // 2))
    after = before.with_shares({"t2": grown})
    moved = {m for m in zip(owners(before), owners(after), strict=True) if m[0] != m[1]}
    assert moved <= {("control", "t2")}
    assert bool(moved) == (grown > before["t2"])


def test_a_promotion_gives_everything_to_one_treatment() -> None:
    assert set(owners(Split(NAMES[:3], (0, 0, TOTAL_BP)))) == {"t2"}


def test_a_treatment_over_its_region_is_refused_with_the_width() -> None:
    with pytest.raises(SpecError, match=r"t1 at 60%: more than its region of 50%") as caught:
        regions(Split(NAMES[:3], (3000, 6000, 1000)))
    assert "no user ever moves from one treatment to another" in caught.value.hint


def test_the_hash_is_the_published_one() -> None:
    # Test vectors of the xxHash specification (XXH64, seed 0).
    assert xxhash.xxh64_intdigest(b"") == 0xEF46DB3751D8E999
    assert xxhash.xxh64_intdigest(b"abc") == 0x44BC2CF5AD770999


PINNED = {
    ("exp1", "u1"): (5845, 53),
    ("exp1", "u2"): (20, 46),
    ("exp1", "Zoë"): (9094, 58),
    ("exp1", "用户"): (7241, 13),
    ("exp2", "u1"): (5433, 21),
    ("iris-2026-11", ""): (1774, 48),
    ("iris-2026-11", "a:b:c"): (592, 62),
    ("iris-2026-11", "x" * 100): (6293, 1),
}


@pytest.mark.parametrize(("key", "expected"), PINNED.items(), ids=str)
def test_assignments_never_change(key: tuple[str, str], expected: tuple[int, int]) -> None:
    # A change of any of these would move the users of every running experiment.
    assert (point(*key), bucket(*key, 64)) == expected


@pytest.mark.process
def test_a_fresh_process_agrees_whatever_its_hash_seed() -> None:
    code = (
        "from abctl.core.assignment import point, bucket\n"
        "print([(point('s', str(i)), bucket('s', str(i), 64)) for i in range(500)])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "4242")
    }
    here = [(point("s", str(i)), bucket("s", str(i), 64)) for i in range(500)]
    assert answers == {f"{here}\n"}


# The ids and salts below are fixed, so these tests say the same every time. A bound of 0.001 on
# one p of many p-values is one that a good hash passes and a biased one does not: see the witness.
USERS = [f"user-{i}" for i in range(4000)]
SALTS = [f"salt-{i}" for i in range(300)]


def points(salt: str) -> np.ndarray:
    return np.array([point(salt, user) for user in USERS])


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    return {salt: points(salt) for salt in SALTS}


def uniform(p_values: list[float]) -> float:
    """p of the hypothesis that the p-values are uniform."""
    return float(scipy.stats.kstest(p_values, "uniform").pvalue)


@pytest.mark.slow
@pytest.mark.parametrize("share_bp", [5000, 1000, 200])
def test_shares_deviate_from_the_split_as_chance_would(
    drawn: dict[str, np.ndarray], share_bp: int
) -> None:
    n, share = len(USERS), share_bp / TOTAL_BP
    rng = np.random.default_rng(7)
    treated = np.array([np.sum(p >= TOTAL_BP - share_bp) for p in drawn.values()])
    # Counts are whole numbers: their exact p-values are uniform only when ties are broken.
    null = scipy.stats.binom(n, share)
    p_values = null.cdf(treated - 1) + rng.random(len(treated)) * null.pmf(treated)
    assert uniform(p_values) > 0.001


def test_points_are_uniform(drawn: dict[str, np.ndarray]) -> None:
    cells = [np.bincount(p // 500, minlength=20) for p in drawn.values()]
    assert uniform([scipy.stats.chisquare(c).pvalue for c in cells]) > 0.001


def independent(left: np.ndarray, right: np.ndarray) -> float:
    """p of the hypothesis that two draws of the same users are independent."""
    table = np.zeros((8, 8))
    np.add.at(table, (left, right), 1)
    return float(scipy.stats.chi2_contingency(table).pvalue)


@pytest.mark.slow
def test_two_salts_are_independent(drawn: dict[str, np.ndarray]) -> None:
    eighths = [p // 1250 for p in drawn.values()]
    p_values = [independent(a, b) for a, b in zip(eighths[::2], eighths[1::2], strict=True)]
    assert uniform(p_values) > 0.001
    # Witness: neighbours whose salts were mixed in by addition would be caught.
    shifted = [
        independent(a, ((p + 17) % TOTAL_BP) // 1250)
        for a, p in zip(eighths, drawn.values(), strict=True)
    ]
    assert max(shifted) < 1e-6


def test_buckets_are_independent_of_assignment(drawn: dict[str, np.ndarray]) -> None:
    p_values = [
        independent(p // 1250, np.array([bucket(salt, user, 8) for user in USERS]))
        for salt, p in list(drawn.items())[:100]
    ]
    assert uniform(p_values) > 0.001
