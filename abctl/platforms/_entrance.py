"""What an entrance lets in, on every platform whose routes abctl writes.

Predictions, metadata, readiness and feedback; nothing else of a model server is for its clients:
the model repository API loads and unloads models, and pages and counters are for their owners.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from abctl.core.experiment import Experiment

FEEDBACK = "/feedback"
# The limit of the model servers (ab_runtime) too: who is refused here would be refused there.
MOST_BODY_BYTES = 16 * 1024**2
# And that of the collector, to which feedback goes where outcomes are declared.
MOST_FEEDBACK_BYTES = 1024**2
SERVICE = "inference.GRPCInferenceService"
STREAM = "ModelStreamInfer"
INFER = "ModelInfer"
_ASIDE_METHODS = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata")
METHODS = (*_ASIDE_METHODS, INFER)
_NAME = "[^/?#]+"
_MODEL = rf"/v2/models/{_NAME}(/versions/{_NAME})?"
_STREAMED = "(infer|generate)_stream"
_ASKED = f"{_MODEL}(/(ready|infer|generate))?"
_QUERY = r"\?.*|"
# Behind a variant's name, what a proxy calls its server's port for gRPC, and what is asked of it
# that is no prediction: feedback, readiness, metadata. So the counters of a variant have
# predictions alone. No variant is called so.
GRPC, ASIDE = ".grpc", ".aside"
# What is asked for a prediction, as the model servers (ab_runtime) have it.
PREDICTIONS = (
    rf"({_MODEL}/(infer|generate)(_stream)?|/{re.escape(SERVICE)}/Model(Stream)?Infer)({_QUERY})"
)


@dataclass(frozen=True)
class Kind:
    """Requests that are routed alike.

    Attributes:
        name: of it; empty for what most requests are.
        paths: a regular expression of whole paths, without the query.
        grpc: whether they go to the port for gRPC.
        streamed: whether an answer may go on for ever.
        aside: whether they ask for no prediction.
    """

    name: str
    paths: str
    grpc: bool = False
    streamed: bool = False
    aside: bool = False

    @property
    def behind(self) -> str:
        """What stands behind a variant's name where they go."""
        return GRPC * self.grpc + ASIDE * self.aside


def kinds(experiment: Experiment) -> Iterator[Kind]:
    """The kinds of requests that are split, by paths of which no two meet."""
    if grpc(experiment):
        service = f"/{re.escape(SERVICE)}"
        yield Kind("grpc-stream", f"{service}/{STREAM}", grpc=True, streamed=True)
        yield Kind("grpc", f"{service}/{INFER}", grpc=True)
        others = "|".join(_ASIDE_METHODS)
        yield Kind("grpc-aside", f"{service}/({others})", grpc=True, aside=True)
    yield Kind("stream", f"{_MODEL}/{_STREAMED}", streamed=True)
    yield Kind("aside", f"/v2|/v2/health/(live|ready)|{_MODEL}(/ready)?", aside=True)
    yield Kind("", f"{_MODEL}/(infer|generate)")


def paths(experiment: Experiment, *, grpc: bool) -> str:
    """A regular expression of the paths of all kinds that go to one port, without the query."""
    return "|".join(kind.paths for kind in kinds(experiment) if kind.grpc == grpc)


def matches(*, grpc: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The same as whole paths and as small expressions: RE2 counts each by itself.

    Envoy's own limit is 100 (about one instruction a letter), and who runs a gateway has set it.
    """
    if grpc:
        return tuple(f"/{SERVICE}/{each}" for each in (*METHODS, STREAM)), ()
    return ("/v2", "/v2/health/live", "/v2/health/ready"), (_ASKED, f"{_MODEL}/{_STREAMED}")


def grpc(experiment: Experiment) -> bool:
    """Whether every server is known to take gRPC: those that abctl makes do.

    Of a Service that is there one port is known, and KServe's own servers have no other.
    """
    models = (each.model for each in experiment.served)
    return all(model.image or not (model.service or model.uri) for model in models)


def allowed(experiment: Experiment) -> str:
    """A regular expression of every path that is let in, with its query."""
    every = "|".join(kind.paths for kind in kinds(experiment))
    return f"({every}|{FEEDBACK})({_QUERY})"
