"""The ledger in the world: read it, append to it; whoever comes second finds out."""

from abctl.cluster import Door
from abctl.core.change import Object
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, ledger_ref
from abctl.errors import ConflictError, NotFoundError
from abctl.forms.ledger import ledger_of, with_ledger


def read(door: Door, experiment: Experiment) -> Object:
    """The ConfigMap with the ledger.

    Raises:
        NotFoundError: the experiment was not started.
    """
    try:
        return door.get(ledger_ref(experiment))
    except NotFoundError as error:
        raise NotFoundError(
            f"experiment {experiment.name} was not started ({error.message})",
            "abctl local up EXPERIMENT starts it on this machine, abctl apply in a cluster",
        ) from error


def append(door: Door, experiment: Experiment, obj: Object, entry: Entry) -> Object:
    """Append to the ledger as it was read; gives it as it is then.

    Raises:
        ConflictError: somebody else has appended since.
    """
    try:
        return door.replace(with_ledger(obj, ledger_of(obj).with_entry(entry)))
    except ConflictError as error:
        raise _overtaken(read(door, experiment)) from error


def finish(door: Door, experiment: Experiment, obj: Object, entry: Entry) -> None:
    """Append the outcome of the open intent, unless somebody else has done just that.

    Raises:
        ConflictError: another intent has taken its place.
    """
    ledger = ledger_of(obj)
    try:
        append(door, experiment, obj, entry)
    except ConflictError:
        added = ledger_of(read(door, experiment)).entries[len(ledger.entries) :]
        if not added or (added[0].phase, added[0].after) != (entry.phase, entry.after):
            raise


def require_latest(door: Door, experiment: Experiment, obj: Object) -> None:
    """Make sure that nobody has appended since the ledger was read.

    Raises:
        ConflictError: somebody has.
    """
    now = read(door, experiment)
    if now["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
        raise _overtaken(now)


def _overtaken(obj: Object) -> ConflictError:
    last = ledger_of(obj).entries[-1]
    return ConflictError(
        f"{last.actor} was faster: {last.phase} {last.after} ({last.why})",
        "look at `abctl status`, and shift again if it is still wanted",
    )
