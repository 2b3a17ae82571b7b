"""What carries the split: pure translators between an experiment and Kubernetes objects.

A platform is a module here with the names of the `Platform` protocol.
Laws, which are tests: `split_of(with_split(o, s)) == s`, and where a hand has left weights that are
no split, `split_of(with_split(mended(o), s)) == s`; the input stays unchanged; fields other
than the weights stay untouched; a split off the grain, or anything that the platform cannot
express, is a SpecError before anything is written.

`with_split`, `split_of`, `programmed` and `refusal` also read objects that abctl did not make. Its
own name the variants as the experiment does; others by what they send requests to (a predictor, a
Service, ...), the first of which is the control.

What controllers report as conditions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from abctl import plugins
from abctl.core.assignment import Draw
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment, Hash, Model
from abctl.core.split import Split
from abctl.errors import ClusterError, SpecError

Place = tuple[str | int, ...]
_LONGEST_SERVICE_NAME = (
    63  # characters of a Service's name, which is a name of DNS; of others they are 253
)
UNSEEN = "no controller has reported on it yet"
Condition = Mapping[str, Any]


@dataclass(frozen=True)
class Inquiry:
    """How the pods of a platform's own proxy are asked what they have loaded.

    Attributes:
        port: where a pod answers.
        path: to what (GET, JSON).
        status: what its answer makes the status of the object that carries the split; `refusal` in
            it goes on after the name of the pod.
        within_seconds: how long a change may take to reach every pod.
    """

    port: int
    path: str
    status: Callable[[Object, Mapping[str, Any]], Mapping[str, Any]]
    within_seconds: float


@dataclass(frozen=True)
class Made:
    """What a platform's controller makes of the object that carries the split.

    Attributes:
        labels: of its Deployments and pods, by the address of that object.
        variant: the label that has the name of the variant.
        route: by which the data plane splits requests: whoever reads the object gets it in
            `status.route`, where it is there and may be read.
        routed: a copy of the route with another split, as the controller would write it.
        path: what comes before `/v2` at the gateway.
    """

    labels: Callable[[Ref], Mapping[str, str]]
    variant: str
    route: Callable[[Ref], Ref]
    routed: Callable[[Object, Split], Object]
    path: Callable[[Ref], str]


@dataclass(frozen=True)
class Capabilities:
    """What a platform can do.

    Attributes:
        parts: its grain (100: whole percents).
        sticky: whether a unit keeps its variant.
        override: whether a header may force a variant.
        cohorts: whether requests with a header may have a variant or a split of their own.
        file: whether the split can be in a file of this machine (`flagFile`).
        shadow: whether it can copy requests to a server and drop the answers.
        max_variants: None for any number.
        reports: what its status says: the split that is in effect, conditions, or nothing.
        entrance: whether requests come in by a gateway that `spec.entrance` names.
        proxy: what the container of its own proxy is called; empty where it has none.
        images: whether it runs a model's own image; otherwise it loads models that are stored.
        draw: how it places a unit, where it is sticky.
        hashes: those that `assignment.hash` chooses from, the first by default; empty where there
            is but one.
        salted: whether it hashes the salt too; otherwise experiments with the same key place
            their units alike.
        inquiry: how its pods are asked, where no controller reports for them.
        besides: what else the object that carries the split holds, which goes on without the
            experiment; None where it holds nothing else.
        services: the Service behind each variant, as far as experiment and object name one.
        grpc: whether gRPC is split as REST is; None where it never is.
        control: the variant that any such object says is the control; None where it says nothing,
            or where the kind has no word for it.
        made: what its controller makes, where that is known.
        names_variant: whether an answer at its entrance names the variant that gave it.
        by_mlserver: whether MLServer serves a stored model, None where that depends on the
            cluster; None for platforms that have no runtimes to choose from.
    """

    parts: int
    sticky: bool
    override: bool
    cohorts: bool
    shadow: bool
    max_variants: int | None
    reports: Literal["split", "conditions", "nothing"] = "nothing"
    entrance: bool = False
    proxy: str = ""
    images: bool = True
    draw: Draw | None = None
    hashes: tuple[Hash, ...] = ()
    salted: bool = True
    inquiry: Inquiry | None = None
    besides: Callable[[Object], Sequence[str]] | None = None
    services: Callable[[Experiment, Object], Mapping[str, Ref]] | None = None
    control: Callable[[Object], str | None] | None = None
    grpc: Callable[[Experiment], bool] | None = None
    made: Made | None = None
    names_variant: bool = True
    by_mlserver: Callable[[Model], bool | None] | None = None
    file: bool = False


@dataclass(frozen=True)
class Misfit:
    """Something in an experiment that a platform cannot express; `place` leads to it in `spec`."""

    place: Place
    message: str
    hint: str


class Platform(Protocol):
    """A module of this package."""

    CAPABILITIES: Capabilities

    @staticmethod
    def misfits(experiment: Experiment) -> Sequence[Misfit]:
        """What of the experiment it cannot express; none where `objects` succeeds."""
        ...

    @staticmethod
    def baseline(experiment: Experiment) -> list[Object]:
        """What must be rolled out before `objects` are first applied; mostly nothing."""
        ...

    @staticmethod
    def objects(experiment: Experiment) -> list[Object]:
        """Everything that the experiment needs, in the order in which it is applied.

        Raises:
            SpecError: there are misfits.
        """
        ...

    @staticmethod
    def target(experiment: Experiment) -> Ref:
        """The one object that carries the split."""
        ...

    @staticmethod
    def with_split(obj: Object, split: Split) -> Object:
        """A copy of the object with another split of the same variants.

        Raises:
            SpecError: other variants, or shares that it cannot express.
            ClusterError: the object carries no split.
        """
        ...

    @staticmethod
    def split_of(obj: Object) -> Split:
        """The split that the object asks for.

        Raises:
            ClusterError: the object carries no split.
        """
        ...

    @staticmethod
    def mended(obj: Object) -> Object:
        """A copy whose weights are a split, all to one variant, whatever they are now.

        For the way back: `with_split` takes it to any other split.

        Raises:
            ClusterError: the object does not even say between which variants it splits.
        """
        ...

    @staticmethod
    def programmed(obj: Object) -> Split | None:
        """The split that the object's status says is in effect; None where it does not say."""
        ...

    @staticmethod
    def refusal(obj: Object) -> str | None:
        """Why the status says that the object is not in effect; None where it gives no reason."""
        ...

    @staticmethod
    def upstreams(obj: Object) -> Mapping[str, Sequence[str]]:
        """What the platform's own metrics call each variant, as far as the object says.

        None where they call it by its name.
        """
        ...

    @staticmethod
    def objections(obj: Object) -> tuple[str, ...]:
        """What the platform's own admission would say against the object, in its words."""
        ...


def platform(name: str) -> Platform:
    """The platform of that name (a module of this package)."""
    return cast("Platform", plugins.module(__name__, name))


def capabilities() -> dict[str, Capabilities]:
    """What each platform can do, by name."""
    return {name: platform(name).CAPABILITIES for name in plugins.names(__name__)}


def written(platform: Platform, obj: Object, split: Split) -> Object:
    """A copy of the object with another split, also where its weights are none.

    Raises:
        SpecError: other variants, or shares that the platform cannot express.
        ClusterError: the object does not say between which variants it splits.
    """
    try:
        return platform.with_split(obj, split)
    except ClusterError:
        return platform.with_split(platform.mended(obj), split)


def _require_name(ref: Ref) -> None:
    if ref.kind == "Service" and len(ref.name) > _LONGEST_SERVICE_NAME:
        raise SpecError(
            f"{ref} would be refused: its name has {len(ref.name)} characters, must be at most "
            f"{_LONGEST_SERVICE_NAME}",
            "give the experiment a shorter name (metadata.name)",
        )


def require_admissible(platform: Platform, objects: Iterable[Object]) -> None:
    """Ask the platform about each object.

    Raises:
        SpecError: the first objection, in the platform's own words.
    """
    for obj in objects:
        _require_name(Ref.of(obj))
        if objections := platform.objections(obj):
            raise SpecError(
                f"{Ref.of(obj)} would be refused: {'; '.join(objections)}",
                "correct the experiment, or the object if abctl did not create it",
            )


def current(obj: Object, observed: int | None) -> bool:
    """Whether a report on some generation is about the object as it is now."""
    generation: int | None = obj["metadata"].get("generation")
    return observed is not None and generation is not None and observed >= generation


def unmet(conditions: Iterable[Condition], wanted: Iterable[str]) -> str | None:
    """The first of the wanted conditions that is not true, with its reason; None if all are."""
    by_type = {condition["type"]: condition for condition in conditions}
    for name in wanted:
        found = by_type.get(name)
        if found is None:
            return f"{name} is not reported"
        if found.get("status") != "True":
            # Envoy Gateway says the same once for each rule.
            lines = dict.fromkeys((found.get("message") or "").splitlines())
            said = ": ".join(filter(None, (found.get("reason"), " ".join(lines))))
            return f"{name} is {found.get('status')}{f' ({said})' if said else ''}"
    return None


def complaint(obj: Object, *wanted: str) -> str | None:
    """What a status with one list of conditions complains of.

    Of no generation in particular: such a status is of what a controller made of the object, and
    its observedGeneration, where there is one, counts the changes of that (KServe), not of this.
    """
    conditions = (obj.get("status") or {}).get("conditions")
    return unmet(conditions, wanted) if conditions else UNSEEN
