"""Error rates under constant peeking, and what validity costs in sample size.

    python bench/calibration.py           a short form, under a minute
    python bench/calibration.py --long    10,000 experiments of 1,000 looks in each world

Everything is run through the methods that `abctl` calls. The claims, one side at a time, have two
fresh seeds, which are printed; the rest has a fixed one.
"""

import argparse
import dataclasses
import math
import secrets
import sys
import time
from pathlib import Path

import _claims
import _effects
import _judged
import _looking
import numpy as np
from _naive_rules import RULES, decisions
from _sample_sizes import CASES
from _table import machine, markdown
from _worlds import WORLDS

from abctl.stats import methods
from abctl.stats.estimate import Estimate
from abctl.stats.summary import Stream

ALPHA = 0.05
LIMIT = 0.0544
SEED = 20_261_101
NEVER = np.iinfo(np.int64).max


def with_error(share, n):
    return f"{share:.4f} ± {_error(share, n):.4f}"


def _error(share, n):
    return math.sqrt(max(share * (1.0 - share), 1.0 / n) / n)


def first_rejections(experiments, looks):
    """World by world: the look at which each rule first rejects, although nothing differs."""
    for index, world in enumerate(WORLDS):
        rng = np.random.default_rng((SEED, index))
        method = methods.method(world.method)
        relative = world.plan.mde.value if world.plan.mde.relative else 0.1
        found = {rule: np.full(experiments, NEVER) for rule in ("abctl", *RULES)}
        for i in range(experiments):
            stream = world.looks(rng, looks)
            found["abctl"][i] = _first(method, stream, world.plan, looks)
            for rule, decided in zip(RULES, decisions(stream, relative), strict=True):
                if decided.any():
                    found[rule][i] = np.argmax(decided) + 1
        print(f"{world.name}: done", file=sys.stderr, flush=True)
        yield world, found


def _first(method, stream, plan, looks):
    """Always-valid methods that reject stay with it, so the first time is found by halving."""

    def rejects(look):
        found = method.estimate(_until(stream, look), plan)
        return isinstance(found, Estimate) and found.rejects

    if not rejects(looks):
        return NEVER
    low, high = 0, looks
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if rejects(middle) else (middle, high)
    return high


def _until(stream, look):
    def cut(side):
        arrays = {k: v[:look] for k, v in vars(side).items() if isinstance(v, np.ndarray)}
        return dataclasses.replace(side, **arrays)

    return Stream(cut(stream.control), cut(stream.treatment), stream.epoch[:look])


def error_rate_rows(results, experiments):
    for world, found in results:
        rates = {rule: float(np.mean(first < NEVER)) for rule, first in found.items()}
        ours = rates.pop("abctl")
        met = _wanted(ours, _error(ours, experiments), LIMIT).partition(": ")[2]
        others = (with_error(rate, experiments) for rate in rates.values())
        yield world.name, f"`{world.method}`", with_error(ours, experiments), met, *others


def stops(experiments):
    for index, case in enumerate(CASES):
        yield case, case.stops(np.random.default_rng((SEED, 100 + index)), experiments)


def sample_size_rows(results, experiments):
    for case, stop in results:
        n80 = float(np.quantile(stop, 0.8))
        capped = np.minimum(stop, n80)
        expected = float(capped.mean()) / case.fixed
        error = float(capped.std()) / math.sqrt(experiments) / case.fixed
        yield (
            case.name,
            f"{np.mean(stop <= case.fixed):.2f}",
            f"{n80 / case.fixed:.2f}",
            _wanted(n80 / case.fixed, 0.0, case.most_n),
            f"{expected:.3f} ± {error:.3f}",
            _wanted(expected, error, case.most_expected),
        )


def _wanted(value, error, most):
    if most is None:
        return "-"
    if value <= most:
        return f"at most {most:g}: met"
    return f"at most {most:g}: {'within the error' if value <= most + 2.0 * error else 'MISSED'}"


def claims(runs, looks):
    """Every cell, half of its runs by each of two fresh seeds; and whether all hold."""
    seeds = [secrets.randbits(32) for _ in "ab"]
    rows, hold = [], True
    for index, world in enumerate(_claims.ALL):
        both = [
            _claims.cells_of(world, np.random.default_rng((seed, index)), runs // 2, looks)
            for seed in seeds
        ]
        for one, other in zip(*both, strict=True):
            cell = dataclasses.replace(
                one,
                runs=one.runs + other.runs,
                wrong=one.wrong + other.wrong,
                silent=one.silent + other.silent,
            )
            met = cell.chance >= 0.01 / _claims.CELLS
            hold &= met
            rows.append(
                (
                    cell.world,
                    f"`{cell.method}`",
                    cell.side,
                    f"{one.wrong} + {other.wrong} of {cell.runs:,}",
                    with_error(cell.wrong / cell.runs, cell.runs),
                    "holds" if met else "FAILS",
                    f"{cell.silent / cell.runs:.0%}",
                )
            )
        print(f"{world.name}: claims done", file=sys.stderr, flush=True)
    header = ("world", "method", "side", "wrong, by seed", "rate", "", "no answer")
    return seeds, markdown(header, rows), hold


def effects(runs, seed):
    """Power, and the share without an answer, of each effect; and whether all floors hold."""
    rows, hold = [], True
    for index, world in enumerate(_effects.EFFECTS):
        for cell in _effects.cells_of(world, np.random.default_rng((seed, 200 + index)), runs):
            met = cell.chance >= 0.01 / _effects.CELLS
            hold &= met
            rows.append(
                (
                    cell.world,
                    f"`{cell.method}`",
                    f"{cell.times:g}",
                    with_error(cell.found / runs, runs),
                    f"{cell.floor:g}: {'holds' if met else 'MISSED'}",
                    f"{cell.silent / runs:.0%}",
                )
            )
    header = ("world", "method", "effect over planned", "found", "at least", "no answer")
    return markdown(header, rows), hold


def judged(runs, seed):
    """What verdicts and their claims say in whole experiments; and whether all cells hold."""
    rows, hold = [], True
    for index, world in enumerate(_judged.WORLDS):
        for cell in _judged.cells_of(world, np.random.default_rng((seed, 300 + index)), runs):
            met = cell.chance >= 0.01 / _judged.CELLS
            hold &= met
            wanted = f"at {'least' if cell.least else 'most'} {cell.level:g}"
            met = f"{wanted}: {'holds' if met else 'FAILS'}"
            rows.append((cell.world, cell.what, f"{cell.times} of {runs}", met))
        print(f"{world.name}: judged", file=sys.stderr, flush=True)
    return markdown(("world", "said", "experiments", ""), rows), hold


def power_and_verdicts(experiments, seed):
    """Print both; whether all hold. Their short form is among the tests."""
    table, found = effects(experiments or 400, seed)
    print("\nEffects over the planned one, one-sided at 5%, where the planned size ends\n")
    print(table)
    table, as_said = judged(experiments or 60, seed)
    print(f"\nWhole experiments, by the way from counters to the verdict, at 5%\n\n{table}")
    return found and as_said


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="10,000 experiments of 1,000 looks")
    parser.add_argument("--experiments", type=int, help="experiments in each world")
    parser.add_argument("--looks", type=int, help="looks at each experiment")
    parser.add_argument("--plots", type=Path, help="folder for the plots")
    options = parser.parse_args()
    experiments = options.experiments or (10_000 if options.long else 100)
    looks = options.looks or (1_000 if options.long else 300)
    start = time.perf_counter()
    print(f"{experiments:,} A/A experiments of {looks:,} looks each, alpha {ALPHA}: rejected\n")
    worlds = list(first_rejections(experiments, looks))
    header = ("world", "method", "abctl", f"at most {LIMIT}", *RULES)
    print(markdown(header, list(error_rate_rows(worlds, experiments))))
    runs = 4_000 if options.long else 200
    print(f"\nSample size over that of the fixed test with 80% power, {runs:,} experiments\n")
    sizes = list(stops(runs))
    header = ("effect", "power at fixed n", "n for 80%", "wanted", "expected n", "wanted")
    print(markdown(header, list(sample_size_rows(sizes, runs))))
    runs = 1_000 if options.long else 8
    print(f"\nRules that may be looked at at any time, {runs:,} experiments each\n")
    print(markdown(_looking.HEADER, list(_looking.rows(np.random.default_rng(SEED), runs))))
    runs = options.experiments or (2_000 if options.long else 20)
    seeds, table, hold = claims(runs, 300 if options.long else 120)
    print(f"\nClaims, at 5%; seeds {seeds[0]} and {seeds[1]}; a cell fails where ", end="")
    print(f"P(Binomial(runs, 5%) >= wrong) < 0.01 / {_claims.CELLS}\n\n{table}")
    if options.long:
        hold &= power_and_verdicts(options.experiments, seeds[0])
    print(f"\n{time.perf_counter() - start:.0f} s on {machine()}")
    if options.plots:
        import _plots  # noqa: PLC0415 - only plots need the library

        _plots.error_rates(
            options.plots / "error-rates.svg", {w.name: f for w, f in worlds}, looks, LIMIT
        )
        _plots.sample_sizes(
            options.plots / "sample-sizes.svg", {c.name: (c.fixed, s) for c, s in sizes}
        )

    if not hold:
        sys.exit("a claim errs more often than it says, or finds too little")


if __name__ == "__main__":
    main()
