"""Numbers in, estimates out: knows no Kubernetes, no files, no clock.

In a notebook, one line a question:

    >>> from abctl.stats import compare_means, compare_proportions, sample_size_proportions
    >>> compare_proportions(control=(100, 1000), treatment=(130, 1000)).rejects
    True

`compare_means`, `compare_proportions`, `compare_ratios` and `compare_quantiles` take arrays,
`Comparison` takes a frame, `sample_size_proportions` and `sample_size_means` plan.

Below that, summaries of two variants make a stream. A method turns the stream into an estimate:

    >>> from abctl.stats.estimate import Plan
    >>> from abctl.stats.methods import proportion_sequence
    >>> from abctl.stats.summary import Counts, Stream
    >>> control = Counts(n=[500, 500, 500], successes=[50, 49, 51])
    >>> treatment = Counts(n=[500, 500, 500], successes=[75, 74, 76])
    >>> stream = Stream(control, treatment, epoch=[0, 0, 0])  # three polls under one split
    >>> found = proportion_sequence.estimate(stream, Plan(alpha=0.05))
    >>> round(found.effect, 4), found.rejects
    (0.05, True)

`methods` lists the methods. `power.sizes` plans sample sizes. `srm` checks the split.
`multiplicity` adjusts p-values. `bayes` gives posterior probabilities. `cuped` reduces variance.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abctl.stats.delta import Delta
    from abctl.stats.library.arguments import Options
    from abctl.stats.library.arrays import (
        compare_means,
        compare_proportions,
        compare_quantiles,
        compare_ratios,
    )
    from abctl.stats.library.frame import Comparison
    from abctl.stats.library.paired import PairedSize, compare_paired, sample_size_paired
    from abctl.stats.library.result import Result
    from abctl.stats.library.sizes import SampleSize, sample_size_means, sample_size_proportions

__all__ = [
    "Comparison",
    "Delta",
    "Options",
    "PairedSize",
    "Result",
    "SampleSize",
    "compare_means",
    "compare_paired",
    "compare_proportions",
    "compare_quantiles",
    "compare_ratios",
    "sample_size_means",
    "sample_size_paired",
    "sample_size_proportions",
]
_PARTS = ("delta", "library.arrays", "library.frame", "library.paired", "library.sizes")


def __getattr__(name: str) -> object:
    """The public names, loaded when they are first asked for: numpy and scipy take their time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    modules = (importlib.import_module(f"{__name__}.{part}") for part in _PARTS)
    found: object = next(vars(module)[name] for module in modules if name in vars(module))
    globals()[name] = found
    return found
