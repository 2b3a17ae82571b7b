"""Objects that abctl did not make, by KIND/NAME: what is there already can be shifted too."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from abctl import platforms
from abctl.cluster import KubeClient
from abctl.core.change import Object, Ref
from abctl.core.experiment import Assignment, Design, Experiment, Model, Variant
from abctl.core.ledger import Entry, ledger_ref, other_ref
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import ClusterError, NoPlaceError, NotFoundError, UsageError
from abctl.forms.ledger import new_object
from abctl.platforms import Platform
from abctl.session.declared import names_declared

# kubectl's words for each kind that carries a split.
_WORDS = {
    "seldon": ("sdep", "seldondeployment", "seldondeployments"),
    "kserve": ("isvc", "inferenceservice", "inferenceservices"),
    "inferencegraph": ("ig", "inferencegraph", "inferencegraphs"),
    "gateway": ("httproute", "httproutes"),
    "grpcroute": ("grpcroute", "grpcroutes"),
    "flagd": ("ff", "featureflag", "featureflags"),
    "istio": ("vs", "virtualservice", "virtualservices"),
    "seldon2": ("experiment", "experiments"),
    "envoy": ("cm", "configmap", "configmaps"),
    "nginx": ("cm", "configmap", "configmaps"),
    "flagset": ("cm", "configmap", "configmaps"),
}


def is_address(word: str) -> bool:
    """Whether it is written like KIND/NAME."""
    kind, slash, name = word.partition("/")
    named = bool(kind and slash and name) and "/" not in name
    return named and not name.endswith((".yaml", ".yml", ".json"))


def names_object(word: str) -> bool:
    """Whether it names an object that carries a split: written like KIND/NAME, and not a file."""
    return not Path(word).exists() and is_address(word) and not names_declared(word)


def experiment_of(word: str) -> tuple[str, str]:
    """The name and the platform of the experiment whose split KIND/NAME carries.

    >>> experiment_of("cm/iris-envoy"), experiment_of("isvc/iris")
    (('iris', 'envoy'), ('iris', 'kserve'))
    >>> experiment_of("cm/flags")
    ('flags', 'flagset')

    Raises:
        UsageError: a kind that carries no split.
    """
    each, made_up = _called(word, "default")
    return made_up.name, each


def _called(word: str, namespace: str) -> tuple[str, Experiment]:
    """The platform of an object, and an experiment that has it as its own.

    The ConfigMap of a proxy is called after its platform, one with flags as the experiment.
    """
    name = word.partition("/")[2]
    for each in _platforms_of(word):
        for bare in dict.fromkeys((name.removesuffix(f"-{each}"), name)):
            made_up = _made_up(each, bare, namespace)
            if platforms.platform(each).target(made_up).name == name:
                return each, made_up
    raise AssertionError(word)


def _platforms_of(word: str) -> tuple[str, ...]:
    kind, _, _ = word.partition("/")
    if not (names := _platforms(kind)):
        known = ", ".join(dict.fromkeys(words[0] for words in _WORDS.values()))
        raise UsageError(
            f"{word}: no file, and {kind!r} is not a kind that carries a split",
            f"kinds that do: {known}",
        )
    return names


def experiment(
    client: KubeClient, word: str, namespace: str
) -> tuple[Platform, Experiment, Object]:
    """An experiment made up for the object: its variants are what it sends requests to.

    Returns:
        What carries the split, the experiment, and the object as it was found.

    Raises:
        UsageError: a kind that carries no split.
        NotFoundError: there is no such object.
        ClusterError: it does not say between what it splits.
    """
    each, made_up = _called(word, namespace)
    platform = platforms.platform(each)
    found = _there(client, platform.target(made_up), word.partition("/")[0])
    with suppress(ClusterError):
        return platform, _with_variants(made_up, platform.split_of(found)), found
    # Rollback needs no more than the names of what it splits between.
    named = platform.split_of(platform.mended(found))
    return platform, _with_variants(made_up, named), found


def _there(client: KubeClient, ref: Ref, kind: str) -> Object:
    try:
        return client.get(ref)
    except NoPlaceError:
        raise
    except NotFoundError as error:
        hint = f"kubectl get {kind} -n {ref.namespace} lists what is there"
        raise NotFoundError(error.message, hint) from None


class Adopting:
    """A client through which an object without a ledger has one: its first entry is what was found.

    It is written together with the first entry that anybody appends; before that nothing is.
    Where the weights are no split, none can begin, and the ledger cannot be read.

    Args:
        client: to the cluster.
        experiment: made up for the object.
        found: the object with its status, as it was just read.
        again: whether it is to be read again at first.
    """

    def __init__(
        self, client: KubeClient, experiment: Experiment, found: Object, *, again: bool = False
    ) -> None:
        self._client, self._found = client, None if again else found
        self._platform, self._as_found = platforms.platform(experiment.platform), found
        target = self._platform.target(experiment)
        self._refs = ledger_ref(experiment), other_ref(experiment, target)
        first = Entry(client.now(), "unknown", None, experiment.split, "found by abctl", "observed")
        self._first = {
            ref: new_object(experiment, first, target=target, ref=ref) for ref in self._refs
        }

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._client, verb)

    def get(self, ref: Ref) -> Object:
        """Read an object; the ledger too, before it is there."""
        if self._found is not None and ref == Ref.of(self._found):
            found, self._found = self._found, None
            return found
        try:
            return self._client.get(ref)
        except NotFoundError:
            if ref not in self._refs:
                raise
            self._platform.split_of(self._as_found)  # or an error that says what it is
            return self._first[ref]

    def replace(self, obj: Object) -> Object:
        """Replace it whole; a ledger that is not there yet is made."""
        if Ref.of(obj) in self._refs and not obj["metadata"].get("resourceVersion"):
            return self._client.create(obj)
        return self._client.replace(obj)


def _platforms(kind: str) -> tuple[str, ...]:
    return tuple(name for name, words in _WORDS.items() if kind.partition(".")[0].lower() in words)


def _made_up(name_of_platform: str, name: str, namespace: str) -> Experiment:
    return Experiment(
        name=name,
        namespace=namespace,
        platform=name_of_platform,
        assignment=Assignment(unit="request", key="", salt=name),
        variants=(),
        split=Split(("-",), (TOTAL_BP,)),
        metrics=(),
        source=None,
        design=Design(),
    )


def _with_variants(made_up: Experiment, split: Split) -> Experiment:
    variants = tuple(Variant(name, Model(name, "")) for name in split.names)
    return replace(made_up, variants=variants, split=split)
