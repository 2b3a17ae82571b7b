"""What whole experiments say with three treatments and of late harm, in the worlds of the bench.

The seed is new every time and printed with a failure.
"""

import secrets
from dataclasses import replace

import _judged
import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("world", _judged.WORLDS, ids=lambda world: world.name)
def test_a_whole_experiment_says_what_its_world_allows(world) -> None:
    """Of a few experiments, looked at once: a claim that always errs, or never finds, is seen."""
    seed = secrets.randbits(32)
    short = replace(world, looks_seconds=world.looks_seconds[-1:])
    cells = list(_judged.cells_of(short, np.random.default_rng(seed), 4))
    worst = min(cells, key=lambda cell: cell.chance)
    assert worst.chance >= 0.01 / _judged.CELLS, f"seed {seed}: {cells}"
