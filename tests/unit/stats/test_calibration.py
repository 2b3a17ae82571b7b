"""Error rates and power of every claim that decides, in the worlds of the bench: short.

The seed is new every time and printed with a failure.
"""

import importlib
import secrets
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

_BENCH = str(Path(__file__).parents[3] / "bench")
sys.path.insert(0, _BENCH)
_claims, _effects = map(importlib.import_module, ("_claims", "_effects"))
sys.path.remove(_BENCH)

RUNS, LOOKS = 40, 120


@pytest.mark.parametrize("world", _claims.ALL, ids=lambda world: world.name)
def test_no_cell_errs_more_often_than_its_level(world) -> None:
    seed = secrets.randbits(32)
    cells = _claims.cells_of(world, np.random.default_rng(seed), RUNS, LOOKS)
    worst = min(cells, key=lambda cell: cell.chance)
    assert worst.chance >= 0.01 / _claims.CELLS, f"seed {seed}: {cells}"
    assert all(cell.silent < cell.runs for cell in cells), f"no answer anywhere: {cells}"


@pytest.mark.parametrize("world", _effects.EFFECTS, ids=lambda world: world.name)
def test_effects_are_found_as_often_as_the_floor_says(world) -> None:
    seed = secrets.randbits(32)
    cells = list(_effects.cells_of(world, np.random.default_rng(seed), 15))
    worst = min(cells, key=lambda cell: cell.chance)
    assert worst.chance >= 0.01 / _effects.CELLS, f"seed {seed}: {cells}"
    assert not any(cell.silent for cell in cells), f"seed {seed}: {cells}"
