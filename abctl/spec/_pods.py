"""Templates of pods in a file: what has the wrong shape or place, and their values by their types.

A scalar of a file is the text that was written. Which fields of a pod hold numbers or flags is
known here; all others hold text. Whatever else is wrong with them the API server says, before
anything is written.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from abctl.core.number import parse_whole
from abctl.core.template import MERGED_BY, SERVER, Template, Templates
from abctl.spec.shape import Place, Problem, did_you_mean


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


POD = _names("""
    activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy
    enableServiceLinks hostAliases hostIPC hostNetwork hostPID hostUsers hostname imagePullSecrets
    initContainers nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName
    readinessGates resourceClaims resources restartPolicy runtimeClassName schedulerName
    schedulingGates securityContext serviceAccountName setHostnameAsFQDN shareProcessNamespace
    subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes
""")
CONTAINER = _names("""
    args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports
    readinessProbe resizePolicy resources restartPolicy securityContext startupProbe stdin
    stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts
    workingDir
""")
FLAGS = _names("""
    allowPrivilegeEscalation automountServiceAccountToken enableServiceLinks hostIPC hostNetwork
    hostPID hostUsers optional privileged readOnly readOnlyRootFilesystem runAsNonRoot
    setHostnameAsFQDN shareProcessNamespace stdin stdinOnce tty
""")
WHOLE = _names("""
    activeDeadlineSeconds containerPort defaultMode expirationSeconds failureThreshold fsGroup
    hostPort initialDelaySeconds maxSkew minDomains mode periodSeconds priority runAsGroup
    runAsUser seconds successThreshold supplementalGroups terminationGracePeriodSeconds
    timeoutSeconds tolerationSeconds weight
""")
# A port has a number or a name.
WHOLE_OR_TEXT = _names("port")
# Mappings whose keys are anybody's.
OF_TEXT = _names("annotations labels limits matchLabels nodeSelector requests")


if TYPE_CHECKING:
    from abctl.spec._file import Spec
    from abctl.spec._file import Template as Written

# Containers that abctl renders.
_OWN = (SERVER, "envoy", "nginx", "access-log", "collector")
# Aliases can make more of a file than is written there, even without an end.
_MOST_VALUES, _DEEPEST, _SHOWN = 5000, 40, 6
_RESERVED_LABELS = ("app.kubernetes.io/component", "version")
_RESERVED_ENV = ("MLSERVER_METRICS_DIR", "MLSERVER_MODEL_NAME", "MLSERVER_MODEL_VERSION")


def templates(spec: "Spec") -> Templates:
    """The templates of a file without problems."""
    own = {variant.name: variant.template for variant in spec.variants}
    if spec.shadow:
        own[spec.shadow.name] = spec.shadow.template
    return Templates(
        every=_template(spec.template),
        proxy=_template(spec.proxy),
        own={name: _template(template) for name, template in own.items() if template},
    )


def _template(written: "Written | None") -> Template:
    if written is None:
        return Template()
    meta = written.metadata
    found: list[Problem] = []
    pod = _Typing(found).value(written.spec, "", ())
    return Template(written.replicas, dict(meta.labels), dict(meta.annotations), pod)


def problems(spec: "Spec") -> Iterator[Problem]:
    """What is wrong with the templates of a file."""
    given: dict[Place, Written | None] = {
        ("spec", "template"): spec.template,
        ("spec", "proxy"): spec.proxy,
        ("spec", "shadow", "template"): spec.shadow.template if spec.shadow else None,
    }
    given |= {("spec", "variants", i, "template"): v.template for i, v in enumerate(spec.variants)}
    for place, written in given.items():
        if written is not None:
            yield from _metadata(written, (*place, "metadata"))
            yield from _pod(written.spec, (*place, "spec"), place == ("spec", "template"))


def _metadata(written: "Written", place: Place) -> Iterator[Problem]:
    for part in ("labels", "annotations"):
        for key in getattr(written.metadata, part):
            if key.startswith("abctl.dev/") or (part == "labels" and key in _RESERVED_LABELS):
                hint = "another key: by this one abctl finds its pods"
                yield Problem((*place, part, key), "is abctl's own", hint)


def _pod(spec: Mapping[str, Any], place: Place, everywhere: bool) -> Iterator[Problem]:
    found: list[Problem] = []
    pod = _Typing(found).value(spec, "", place)
    yield from found
    if found:
        return
    for part in ("containers", "initContainers"):
        for i, container in enumerate(pod.get(part) or ()):
            here = (*place, part, i)
            yield from _container(container, here, everywhere, part)


def _container(
    container: Mapping[str, Any], place: Place, everywhere: bool, part: str
) -> Iterator[Problem]:
    name = container["name"]
    if part == "initContainers" or name not in _OWN:
        if everywhere:
            hint = f"give it to a variant or the proxy; here are {', '.join(_OWN)}"
            yield Problem((*place, "name"), f"{name!r} would be in every pod", hint)
        elif container.get("image") is None:
            hint = f"abctl's own containers: {', '.join(_OWN)}; any other one needs an image"
            yield Problem((*place, "image"), f"is missing, and abctl makes no {name!r}", hint)
    elif name == SERVER:
        for key, instead in (("image", "model.image of the variant"), ("ports", "they are fixed")):
            if key in container:
                yield Problem((*place, key), "is abctl's own", instead)
        for i, variable in enumerate(container.get("env") or ()):
            if (key := variable["name"]).startswith("AB_") or key in _RESERVED_ENV:
                hint = "the file says it elsewhere: assignment, outcomes, model"
                yield Problem((*place, "env", i, "name"), f"{key} is abctl's own", hint)


class _Typing:
    """Gives values by the types of their fields, and notes what does not fit."""

    def __init__(self, found: list[Problem]) -> None:
        self.found = found
        self.left = _MOST_VALUES

    def value(self, given: Any, key: str, place: Place) -> Any:
        self.left -= 1
        if given is None or self.left < 0:
            return None
        if len(place) > _DEEPEST or not self.left:
            self.left = 0
            hint = "no pod is described by as much: an alias may lead to itself"
            self.found.append(Problem(place[:_SHOWN], "holds too much", hint))
            return None
        if isinstance(given, Mapping):
            return self._mapping(given, key, place)
        if isinstance(given, list):
            return self._list(given, key, place)
        if key in MERGED_BY or key in OF_TEXT:
            self._wrong(place, given, "a list" if key in MERGED_BY else "a mapping")
        return self._scalar(given, key, place)

    def _scalar(self, given: str, key: str, place: Place) -> bool | int | str:
        if key in FLAGS:
            return self._flag(given, place)
        if key in WHOLE or (key in WHOLE_OR_TEXT and given.isascii() and given.isdecimal()):
            return self._whole(given, place)
        return given

    def _mapping(self, given: Mapping[str, Any], key: str, place: Place) -> dict[str, Any]:
        if key in MERGED_BY:
            self._wrong(place, "a mapping", "a list", quoted=False)
            return {}
        if key in OF_TEXT:
            return {name: self._text(value, (*place, name)) for name, value in given.items()}
        if not key:
            self._known(given, POD, place)
        return {name: self.value(value, name, (*place, name)) for name, value in given.items()}

    def _list(self, given: list[Any], key: str, place: Place) -> list[Any]:
        by = MERGED_BY.get(key, "")
        for i, item in enumerate(given if by else ()):
            if not isinstance(item, Mapping):
                shown = item if isinstance(item, str) else "a list"
                self._wrong((*place, i), shown, f"a mapping with {by}")
            elif not isinstance(item.get(by), str):
                hint = "Kubernetes merges this list by it"
                self.found.append(Problem((*place, i, by), "is missing", hint))
            elif key in ("containers", "initContainers"):
                self._known(item, CONTAINER, (*place, i))
        # What is in a list of numbers is one.
        inner = key if key in WHOLE else f"{key}[]"
        return [self.value(item, inner, (*place, i)) for i, item in enumerate(given)]

    def _known(self, given: Mapping[str, Any], known: frozenset[str], place: Place) -> None:
        for other in (name for name in given if name not in known):
            hint = did_you_mean(other, sorted(known))
            self.found.append(Problem((*place, other), "unknown key", hint))

    def _text(self, given: Any, place: Place) -> Any:
        if isinstance(given, Mapping | list):
            self._wrong(place, "a mapping or a list", "text", quoted=False)
        return given

    def _flag(self, given: str, place: Place) -> bool:
        if given not in ("true", "false"):
            self._wrong(place, given, "true or false")
        return given == "true"

    def _whole(self, given: str, place: Place) -> int:
        try:
            return parse_whole(given)
        except ValueError:
            self._wrong(place, given, "a whole number")
            return 0

    def _wrong(self, place: Place, given: str, wanted: str, *, quoted: bool = True) -> None:
        shown = repr(given) if quoted else given
        hint = f"`kubectl explain pod.spec` says what {place[-1]} holds"
        self.found.append(Problem(place, f"{shown}, must be {wanted}", hint))
