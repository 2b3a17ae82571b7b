"""abctl: is the new model better in production, and may it ship?

In a notebook:

    >>> import abctl
    >>> abctl.plan(baseline="5%", mde="2pp", test="fixed").answer.row.total
    4426

`load` reads an experiment file, `analyze` says what its evidence says, `judge` the same of evidence
that was saved, `plan` how many units it takes. `abctl.stats` has the statistics for arrays and
frames. All that is not in `__all__` here or there may change.
"""

import importlib
from typing import TYPE_CHECKING

from abctl.version import __version__

if TYPE_CHECKING:
    from abctl.core.experiment import Experiment
    from abctl.errors import AbctlError
    from abctl.notebook.ask import analyze, judge, load, plan
    from abctl.notebook.findings import Findings
    from abctl.notebook.sizes import Sizes


__all__ = [
    "AbctlError",
    "Experiment",
    "Findings",
    "Sizes",
    "__version__",
    "analyze",
    "judge",
    "load",
    "plan",
]
_PLACES = {
    "AbctlError": "errors",
    "Experiment": "core.experiment",
    "Findings": "notebook.findings",
    "Sizes": "notebook.sizes",
}


def __getattr__(name: str) -> object:
    """The public names, loaded when they are first asked for: commands need few of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(
        importlib.import_module(f"{__name__}.{_PLACES.get(name, 'notebook.ask')}"), name
    )
    globals()[name] = found
    return found
