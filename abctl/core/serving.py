"""What a variant's model server has to know of the experiment."""

from abctl.core.experiment import Experiment

# These the servers count by themselves; everything else comes as feedback.
_MEASURED = {"errors", "latency", "requests"}


def environment(experiment: Experiment, variant: str) -> dict[str, str]:
    """The environment variables of a variant's server."""
    rules = experiment.assignment
    outcomes = dict.fromkeys(m.of for m in experiment.metrics if m.of not in _MEASURED)
    return {
        "AB_VARIANT": variant,
        # Without a unit there is no salt, and no bucket that it could decide.
        "AB_SALT": rules.salt or experiment.name,
        "AB_BUCKETS": str(rules.buckets),
        "AB_KEY": rules.key,
        "AB_OUTCOMES": ",".join(outcomes),
    }
