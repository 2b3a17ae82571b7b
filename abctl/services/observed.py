"""What the variants really got: requests since the last change of the split."""

from collections.abc import Mapping

from abctl.core.epochs import Ledger
from abctl.core.experiment import Experiment
from abctl.core.polls import Window
from abctl.services.read import read
from abctl.sources import Source
from abctl.sources._cache import cache_of
from abctl.sources._telemetry import Telemetry


def observed(
    experiment: Experiment, ledger: Ledger, source: Source, telemetry: Telemetry
) -> Mapping[str, int] | None:
    """Requests of each variant in the present epoch; None until its first poll is over.

    Also None where the epoch is of other variants.

    Args:
        experiment: whose variants.
        ledger: what happened to its split; the time that it settles is left out.
        source: where the counters are.
        telemetry: what to ask for.

    Raises:
        SourceError: the source cannot be read, or contradicts itself.
    """
    now = source.now()
    epochs = ledger.epochs(now, experiment.design.settle_seconds)
    # While a change settles, or is not finished, the last epoch is the one before it.
    if not epochs or epochs[-1].end < now:
        return None
    # Of other variants nobody knows the counters.
    if epochs[-1].split.names != experiment.split.names:
        return None
    window = Window(len(epochs) - 1, epochs[-1].start, epochs[-1].end)
    selectors = {v.name: telemetry.requests(v.name) for v in experiment.variants}
    cache = cache_of(source, now)
    samples = read(source, [window], selectors.values(), now, cache=cache)
    if not samples.over or not any(samples.found.values()):
        return None
    polls = samples.polls(selectors.values())
    return {
        name: round(samples.rows(selector, polls).total().sum())
        for name, selector in selectors.items()
    }
