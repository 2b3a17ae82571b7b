"""The part of an experiment file that asks for a log of predictions.

The texts below the class and its keys are the descriptions in the JSON Schema.
"""

from typing import Annotated, Literal

from abctl.spec.fields import Name, Part, Share, whole


class PredictionLog(Part):
    """A line of JSON for each prediction, in files of its server; without this part there is none.

    A user is in it with all requests or with none.
    """

    share: Share = 10_000
    """Of which share of the users: 10%."""
    inputs: tuple[Name, ...] = ()
    """The inputs of requests that are written, by name; none unless they are named."""
    units: Literal["hash", "plain"] = "hash"
    """How users are written: as a keyed hash, or as they are."""
    megabytes: Annotated[int, whole(1, 100_000)] = 256
    """What the files of one server may take together; the oldest ones go first."""
    to: Literal["files", "stdout"] = "files"
    """In a cluster: files in each pod, gone with it, or its standard output, for kubectl logs."""
