"""What two experiments cannot both have: a route's requests, a Service's counters, an object.

Of two routes at one host of one gateway, one gets the requests, and the other nothing: the older
one, or the one with the more exact path. Servers count requests of every experiment in one number.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.platforms import platform
from abctl.spec.render import render

_MESH, _HTTP = "mesh", 80
# The more exact kind of path wins (Gateway API; between the last two Envoy Gateway's order).
_RANKS = {"Exact": 3, "RegularExpression": 2, "PathPrefix": 1}
_ANYWHERE = {"path": {"type": "PathPrefix", "value": "/"}}

Json = Mapping[str, Any]


@dataclass(frozen=True)
class _Door:
    """Where a route takes requests in: a host of a gateway."""

    gateway: str
    host: str
    section: str = ""

    def meets(self, other: "_Door") -> bool:
        apart = self.section and other.section and self.section != other.section
        return self.gateway == other.gateway and not apart and _alike(self.host, other.host)

    def __str__(self) -> str:
        where = "the mesh" if self.gateway == _MESH else f"gateway {self.gateway}"
        return f"{self.host or 'any host'} at {where}"


def backends(document: Json) -> dict[str, str]:
    """The Services that serve variants already, each with its namespace and port, by variant.

    >>> written = {"name": "control", "model": {"service": "ml/iris-v1:8080"}}
    >>> backends({"namespace": "shop", "variants": [written]})
    {'control': 'ml/iris-v1:8080'}

    Args:
        document: an experiment as plain data: of a file, or as a ledger has locked it.
    """
    found = {}
    for variant in (*(document.get("variants") or ()), document.get("shadow")):
        model = (variant or {}).get("model") or {}
        if (given := model.get("service")) and not model.get("image"):
            namespace, _, rest = given.rpartition("/")
            name, _, port = rest.partition(":")
            own = namespace or document.get("namespace") or "default"
            found[variant["name"]] = f"{own}/{name}:{port or _HTTP}"
    return found


def plain(experiment: Experiment) -> Json:
    """What `backends` reads of an experiment."""
    served = [
        {"name": v.name, "model": {"service": v.model.service, "image": v.model.image}}
        for v in experiment.served
    ]
    return {"namespace": experiment.namespace, "variants": served}


def shared(one: Json, other: Json) -> list[str]:
    """The Services that two experiments have in common; see `backends`."""
    theirs = set(backends(other).values())
    return list(dict.fromkeys(each for each in backends(one).values() if each in theirs))


def contested(one: Experiment, other: Experiment) -> list[str]:
    """What two experiments cannot both have, in words; nothing where they do not meet.

    Raises:
        SpecError: one of them cannot be rendered.
    """
    mine, theirs = ({Ref.of(obj): obj for obj in render(each)} for each in (one, other))
    addresses = {(ref.kind, ref.namespace, ref.name) for ref in theirs}
    found = [str(ref) for ref in mine if (ref.kind, ref.namespace, ref.name) in addresses]
    found += [f"Service {each}" for each in shared(plain(one), plain(other))]
    carriers = [
        mine.get(platform(one.platform).target(one)),
        theirs.get(platform(other.platform).target(other)),
    ]
    if all(carriers) and carriers[0] and carriers[1]:
        found += filter(None, [_at(one, carriers[0], carriers[1])])
        found += filter(None, [_at(other, carriers[1], carriers[0])])
    return list(dict.fromkeys(found))


def taken(
    experiment: Experiment, carrier: Object, routes: Iterable[Object]
) -> Iterator[tuple[Ref, str]]:
    """The routes of others that take the requests of an experiment, each with where, in words.

    Args:
        experiment: whose requests.
        carrier: the HTTPRoute, GRPCRoute or VirtualService that carries its split.
        routes: those that are there; its own is left out.
    """
    for obj in routes:
        if (ref := Ref.of(obj)) != Ref.of(carrier) and (where := _at(experiment, carrier, obj)):
            yield ref, where


def _at(experiment: Experiment, own: Object, obj: Object) -> str | None:
    """Where another's route takes requests of an experiment."""
    meeting = [(a, b) for a in _doors(own) for b in _doors(obj) if a.meets(b)]
    if obj["kind"] != own["kind"]:
        if "VirtualService" in (obj["kind"], own["kind"]):
            return None
        # A listener has a host for one kind alone, and refuses the younger route.
        return next((str(a) for a, b in meeting if a.host == b.host), None)
    for a, b in meeting:
        # In the mesh Istio takes the oldest VirtualService of a host, and no other.
        if _MESH in (a.gateway, b.gateway) or _takes(own, obj, _path(experiment, own)):
            return str(a if a.host else b)
    return None


def _path(experiment: Experiment, own: Object) -> str:
    """A path that an experiment gets: of its model, or one that its route names."""
    usual = f"/v2/models/{experiment.control.model.name}/infer"
    if own["kind"] == "VirtualService":
        uris = [match.get("uri") or {} for match in _istio_matches(own)]
        named = [str(uri.get("exact") or uri.get("prefix") or "") for uri in uris]
        reached = not uris or any(_uri_takes(uri, usual) for uri in uris)
    else:
        paths = [match["path"] for match in _matches(own)]
        named = [p["value"] for p in paths if p.get("type") != "RegularExpression"]
        reached = any(_path_takes(path, usual) for path in paths)
    return usual if reached else next(filter(None, named), usual)


def _doors(obj: Object) -> Iterator[_Door]:
    spec, own = obj.get("spec") or {}, Ref.of(obj).namespace
    if obj["kind"] == "VirtualService":
        for gateway in spec.get("gateways") or [_MESH]:
            name = gateway if gateway == _MESH or "/" in gateway else f"{own}/{gateway}"
            for host in spec.get("hosts") or ():
                full = host if "." in host or host == "*" else f"{host}.{own}.svc.cluster.local"
                yield _Door(name, full.removeprefix("*") if host == "*" else full)
    elif obj["kind"] in ("HTTPRoute", "GRPCRoute"):
        for parent in spec.get("parentRefs") or ():
            name = f"{parent.get('namespace') or own}/{parent['name']}"
            for host in spec.get("hostnames") or [""]:
                yield _Door(name, host, str(parent.get("sectionName") or ""))


def _alike(one: str, other: str) -> bool:
    """Whether some host is of both; empty is any, and `*.` stands for one label or more."""
    if not one or not other or one == other:
        return True
    wild, exact = (one, other) if one.startswith("*.") else (other, one)
    return wild.startswith("*.") and exact.removeprefix("*").endswith(wild[1:])


def _takes(own: Object, obj: Object, path: str) -> bool:
    if obj["kind"] == "VirtualService":
        return 0 < _istio_rank(obj, path) >= _istio_rank(own, path)
    mine = [match for match in _matches(own) if _path_takes(match["path"], path)]
    return any(
        _path_takes(match["path"], path) and any(_goes_before(match, each) for each in mine)
        for match in _matches(obj)
    )


def _istio_rank(obj: Object, path: str) -> int:
    """2: it names the path; 1: it takes everything, which comes last, whosever it is."""
    named = any(_uri_takes(match.get("uri") or {}, path) for match in _istio_matches(obj))
    routes = (obj.get("spec") or {}).get("http") or ()
    everything = any(not route.get("match") for route in routes) or any(
        (match.get("uri") or {"prefix": "/"}).get("prefix") == "/" for match in _istio_matches(obj)
    )
    return 2 if named else int(everything)


def _istio_matches(obj: Object) -> Iterator[Json]:
    for route in (obj.get("spec") or {}).get("http") or ():
        for match in route.get("match") or ():
            if not match.keys() - {"uri", "name", "gateways"}:
                yield match


def _uri_takes(uri: Json, path: str) -> bool:
    if prefix := uri.get("prefix"):
        return prefix != "/" and path.startswith(prefix)
    if expression := uri.get("regex"):
        return _fits(expression, path)
    return bool(uri.get("exact") == path)


def _matches(obj: Object) -> Iterator[dict[str, Any]]:
    for rule in (obj.get("spec") or {}).get("rules") or ():
        for match in rule.get("matches") or [{}]:
            yield {**_ANYWHERE, **match, **_path_of_method(match)}


def _path_of_method(match: Json) -> dict[str, Json]:
    """What a GRPCRoute calls a method is a path to HTTP; an HTTPRoute's method is a verb."""
    method = match.get("method")
    if not isinstance(method, dict):
        return {}
    service, name = method.get("service", ""), method.get("method", "")
    if method.get("type") == "RegularExpression" or not service:
        value = f"/{service or '[^/]+'}/{name or '[^/]+'}"
        return {"path": {"type": "RegularExpression", "value": value}}
    kind = "Exact" if name else "PathPrefix"
    return {"path": {"type": kind, "value": f"/{service}/{name}".rstrip("/")}}


def _path_takes(given: Json, path: str) -> bool:
    value = str(given.get("value", "/"))
    match given.get("type", "PathPrefix"):
        case "Exact":
            return path == value
        case "RegularExpression":
            return _fits(value, path)
    return f"{path}/".startswith(f"{value.rstrip('/')}/")


def _goes_before(match: Json, own: Json) -> bool:
    """Whether a match of another route has all that an own one has, or would come before it."""
    narrow = [each for key in ("headers", "queryParams") for each in match.get(key) or ()]
    mine = [each for key in ("headers", "queryParams") for each in own.get(key) or ()]
    if any(each not in mine for each in narrow):
        return False  # it takes some requests of its own
    return _rank(match["path"]) >= _rank(own["path"])


def _rank(path: Json) -> tuple[int, int]:
    kind = path.get("type", "PathPrefix")
    return _RANKS.get(kind, 0), len(path.get("value", "/")) if kind == "PathPrefix" else 0


def _fits(expression: str, path: str) -> bool:
    try:
        return re.fullmatch(expression, path) is not None
    except re.error:
        return False
