"""What the server of a variant is told, and who counts for clients, by environment variables."""

from abctl.core.experiment import Experiment, PredictionLog
from abctl.core.outcome import MEASURED

# Of a server's page: always, for each group of buckets, for each bucket, for each outcome in one.
_LINES, _LINES_OF_GROUP, _LINES_OF_BUCKET, _LINES_OF_OUTCOME = 90, 64, 7, 4
_GROUPS = 16
# Of the page of the access log's reader, the same of each variant.
_LOGGED, _LOGGED_OF_GROUP, _LOGGED_OF_BUCKET = 61, 54, 8
# Of the log of predictions, in a container.
LOG_FOLDER = "/var/log/predictions"
LOG_STDOUT = "-"


def environment(experiment: Experiment, variant: str) -> dict[str, str]:
    """The environment variables of a variant's server."""
    rules = experiment.assignment
    named = (name for m in experiment.by_counters.metrics for name in (m.of, m.over) if name)
    returns = {each.name for each in experiment.outcomes if each.kind == "return"}
    outcomes = dict.fromkeys(name for name in named if name not in MEASURED | returns)
    kinds = {"AB_KINDS": ",".join(f"{of}={_kind(experiment, of)}" for of in outcomes)}
    return {
        "AB_VARIANT": variant,
        # Without a unit there is no salt, and no bucket that it could decide.
        "AB_SALT": rules.salt or experiment.name,
        "AB_BUCKETS": str(rules.buckets),
        "AB_KEY": rules.key,
        "AB_OUTCOMES": ",".join(outcomes),
        **(kinds if outcomes else {}),
    }


def clients_environment(experiment: Experiment, log: str, page: str) -> dict[str, str]:
    """Those of the reader of the proxy's access log.

    Args:
        experiment: whose clients.
        log: where the proxy sends its log: HOST:PORT, or `unix-abstract:NAME`.
        page: where the counters are shown: HOST:PORT.
    """
    own = environment(experiment, experiment.split.control)
    return {
        "AB_VARIANTS": ",".join(experiment.split.names),
        **{name: own[name] for name in ("AB_SALT", "AB_BUCKETS")},
        "AB_LOG_ADDRESS": log,
        "AB_PAGE": page,
    }


def reader_image(experiment: Experiment) -> str | None:
    """The image whose program counts the proxy's access log in a cluster; None where nobody does.

    Only where the servers count by abctl's own preset is it known that their image has it.
    """
    preset = experiment.source and experiment.source.preset
    images = [each.model.image for each in experiment.variants]
    if not experiment.access_log or preset not in (None, "abctl") or not images[0]:
        return None
    return images[0] if preset or all(images) else None


def log_environment(log: PredictionLog | None, folder: str) -> dict[str, str]:
    """What a server is told of its log of predictions.

    >>> log_environment(PredictionLog(share_bp=1000), "/predictions")["AB_LOG_SHARE"]
    '0.1'
    """
    if log is None:
        return {}
    return {
        "AB_LOG": folder,
        "AB_LOG_SHARE": f"{log.share_bp / 10_000:g}",
        "AB_LOG_INPUTS": ",".join(log.inputs),
        "AB_LOG_UNITS": log.units,
        "AB_LOG_MAX_BYTES": str(log.megabytes * 1_000_000),
    }


def page_bytes(experiment: Experiment, variant: str) -> int:
    """About how large the metrics page of a variant's server becomes."""
    buckets, told = experiment.assignment.buckets, environment(experiment, variant)["AB_OUTCOMES"]
    always = (_LINES + _LINES_OF_GROUP * min(buckets, _GROUPS)) * (77 + len(variant))
    each = _LINES_OF_BUCKET * buckets * (65 + len(variant))
    outcomes = sum(70 + len(variant) + len(name) for name in told.split(",") if name)
    return always + each + _LINES_OF_OUTCOME * (buckets + 1) * outcomes


def clients_page_bytes(experiment: Experiment) -> int:
    """About how large the metrics page of the reader of the proxy's access log becomes."""
    buckets = experiment.assignment.buckets
    lines = _LOGGED + _LOGGED_OF_GROUP * min(buckets, _GROUPS), _LOGGED_OF_BUCKET * buckets
    return sum(
        lines[0] * (83 + len(name)) + lines[1] * (73 + len(name)) for name in experiment.split.names
    )


def _kind(experiment: Experiment, of: str) -> str:
    """What values an outcome can have, for all that is measured of it."""
    stated = {each.name: each.kind for each in experiment.outcomes}
    if of in stated:
        return stated[of]
    measured = {metric.kind for metric in experiment.by_counters.metrics if metric.of == of}
    if "proportion" in measured:
        return "binary"
    return "amount" if "rate" in measured else "number"
