"""Envoy's routes of an experiment: as they are written, and as an Envoy says it has loaded them.

The first route that matches decides. Every answer carries `x-ab-variant`, also those that Envoy
makes itself; every request to a model server has `x-ab-randomized`, which says whether
chance put it there, whatever the client sent.

What it has loaded are the routes of its configuration dump.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from abctl.core.assignment import VARIANT_HEADER, regions
from abctl.core.experiment import Assignment, Cohort, Experiment
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import SpecError
from abctl.platforms import _entrance
from abctl.platforms._entrance import Kind

RANDOMIZED = "x-ab-randomized"
_NAMESPACE = "abctl"
_SPLIT = "split"
# The cluster of the collector of all variants; no variant is called so.
COLLECTOR = "_collector"
BUFFER = "envoy.filters.http.buffer"
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_ANY_ID = r"\C*[^ \t]\C*"
_MOST_LENGTH = 2**63 - 1
# A pod has ended and not everybody knows: another try meets another one, and stays within the
# cluster, so never in another variant. `reset` is a server that died before it answered; what one
# answered, be it an error, was counted and is never asked for again.
_RETRY = {
    "retry_on": "connect-failure,reset",
    "num_retries": 5,
    # As Envoy writes them when it is asked what it has loaded.
    "retry_back_off": {"base_interval": "0.050s", "max_interval": "1s"},
}
ASK_FOR_VARIANT = "feedback needs the header x-ab-variant, as the prediction's answer gave it\n"

Json = dict[str, Any]
PATH = "config_dump?resource=dynamic_route_configs"


def route_configuration(experiment: Experiment) -> Json:
    """The whole RouteConfiguration, with the split that the experiment starts with."""
    return {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": experiment.name,
        # Without this Envoy takes routes to clusters that it does not have, and answers 503.
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": experiment.name,
                "domains": ["*"],
                "retry_policy": _RETRY,
                "routes": [
                    *_refused(experiment),
                    *_feedback(experiment),
                    *(r for kind in _entrance.kinds(experiment) for r in _routes(experiment, kind)),
                ],
            }
        ],
    }


def with_split(configuration: Mapping[str, Any], split: Split) -> Json:
    """A copy with the split replaced.

    Raises:
        SpecError: other variants than the configuration's, or a treatment over its region.
        LookupError: not a configuration of abctl.
    """
    names = names_of(configuration)
    if split.names != names:
        raise SpecError(
            f"split of {', '.join(split.names)}, but the routes are of {', '.join(names)}",
            "the variants and their order are fixed for the life of an experiment",
        )
    hosts = [
        {**host, "routes": [_resplit(route, split) for route in host["routes"]]}
        for host in configuration["virtual_hosts"]
    ]
    return {**configuration, "virtual_hosts": hosts}


def names_of(configuration: Mapping[str, Any]) -> tuple[str, ...]:
    """The variants of the routes, the control first.

    Raises:
        LookupError: not a configuration of abctl.
    """
    return _names(_split_route(configuration))


def split_of(configuration: Mapping[str, Any]) -> Split:
    """The split in the routes.

    Raises:
        SpecError: the weights are not a split.
        LookupError: not a configuration of abctl.
    """
    route = _split_route(configuration)
    shares = dict.fromkeys(_names(route), 0)
    for cluster in route["route"]["weighted_clusters"]["clusters"]:
        shares[cluster["name"]] += cluster.get("weight", 0)  # a text is a TypeError
    return Split(tuple(shares), tuple(shares.values()))


def _resplit(route: Json, split: Split) -> Json:
    if _NAMESPACE not in route.get("metadata", {}).get("filter_metadata", {}):
        return route
    action = route["route"]
    # Every one of its clusters is of a variant, and of the same kind of requests.
    _, dot, rest = action["weighted_clusters"]["clusters"][0]["name"].partition(".")
    weighted = {**action["weighted_clusters"], "clusters": _clusters(split, dot + rest)}
    return {**route, "route": {**action, "weighted_clusters": weighted}}


def _split_route(configuration: Mapping[str, Any]) -> Json:
    routes = [r for host in configuration["virtual_hosts"] for r in host["routes"]]
    found: list[Json] = [route for route in routes if route.get("name") == _SPLIT]
    return found[0]


def _names(route: Json) -> tuple[str, ...]:
    return tuple(route["metadata"]["filter_metadata"][_NAMESPACE]["variants"])


def _refused(experiment: Experiment) -> Iterable[Json]:
    """What no model server is asked: paths that an entrance has not, and bodies over the limit."""
    allowed = {"safe_regex": {"regex": _entrance.allowed(experiment)}}
    path = {"name": ":path", "string_match": allowed, "invert_match": True}
    yield {"match": {"prefix": "/", "headers": [path]}, "direct_response": {"status": 404}}
    # Where the length is told; other bodies are counted as they come (BUFFER).
    over = {"start": _entrance.MOST_BODY_BYTES + 1, "end": _MOST_LENGTH}
    length = {"name": "content-length", "range_match": over}
    yield {"match": {"prefix": "/", "headers": [length]}, "direct_response": {"status": 413}}


def _feedback(experiment: Experiment) -> Iterable[Json]:
    path = {"path": _entrance.FEEDBACK}
    if experiment.outcomes:
        # Its tokens say whose it is.
        over = {"start": _entrance.MOST_FEEDBACK_BYTES + 1, "end": _MOST_LENGTH}
        length = {"name": "content-length", "range_match": over}
        yield {"match": {**path, "headers": [length]}, "direct_response": {"status": 413}}
        limit = {"max_request_bytes": _entrance.MOST_FEEDBACK_BYTES}
        yield {
            "match": path,
            "route": {"cluster": COLLECTOR},
            "request_headers_to_remove": [RANDOMIZED],
            **_buffered({"buffer": limit}),
        }
        return
    for name in experiment.split.names:
        yield {
            "match": {**path, "headers": [_exactly(VARIANT_HEADER, name)]},
            "route": {"cluster": name + _entrance.ASIDE},
            "request_headers_to_remove": [RANDOMIZED],
            "response_headers_to_add": [_set(VARIANT_HEADER, name)],
        }
    refused = {"status": 400, "body": {"inline_string": ASK_FOR_VARIANT}}
    yield {"match": path, "direct_response": refused}


def _routes(experiment: Experiment, kind: Kind) -> Iterable[Json]:
    rules, split = experiment.assignment, experiment.split
    if rules.override is not None:
        for name in split.names:
            yield _fixed(kind, [_exactly(rules.override, name)], name)
    yield from (_cohort(rules, cohort, kind) for cohort in rules.cohorts)
    if rules.unit != "request":
        empty = {"safe_regex": {"regex": r"[ \t]*"}}
        match = {"name": rules.key, "string_match": empty, "treat_missing_header_as_empty": True}
        yield _fixed(kind, [match], split.control)
    yield _randomized(experiment, kind)


def _cohort(rules: Assignment, cohort: Cohort, kind: Kind) -> Json:
    match = [_exactly(cohort.header, cohort.value)]
    if cohort.variant is not None:
        return _fixed(kind, match, cohort.variant)
    if cohort.split is None:
        raise SpecError(
            f"cohort {cohort.header}={cohort.value}: neither a variant nor a split",
            "variant: treatment, or split: 50/50",
        )
    if rules.unit != "request":
        # Without a key the hash would be random per request; such requests fall through.
        match.append({"name": rules.key, "string_match": {"safe_regex": {"regex": _ANY_ID}}})
    return {
        **_matched(kind, match),
        "route": {**_action(rules, cohort.split, kind), **_within(kind)},
        "request_headers_to_add": [_set(RANDOMIZED, "false")],
    }


def _randomized(experiment: Experiment, kind: Kind) -> Json:
    split = experiment.split
    action = _action(experiment.assignment, split, kind)
    return {
        "name": "-".join(filter(None, (_SPLIT, kind.name))),
        **_matched(kind, []),
        "route": {**action, **_within(kind), **_copied(experiment, kind)},
        "request_headers_to_add": [_set(RANDOMIZED, "true")],
        # Shares of zero leave no trace among the clusters: the names and their order live here.
        "metadata": {"filter_metadata": {_NAMESPACE: {"variants": list(split.names)}}},
    }


def _copied(experiment: Experiment, kind: Kind) -> Json:
    if (shadow := experiment.shadow) is None or kind.aside:
        return {}
    share = {"default_value": {"numerator": shadow.percent, "denominator": "HUNDRED"}}
    cluster = shadow.name + kind.behind
    return {"request_mirror_policies": [{"cluster": cluster, "runtime_fraction": share}]}


def _fixed(kind: Kind, match: list[Json], variant: str) -> Json:
    return {
        **_matched(kind, match),
        "route": {"cluster": variant + kind.behind, **_within(kind)},
        "request_headers_to_add": [_set(RANDOMIZED, "false")],
        "response_headers_to_add": [_set(VARIANT_HEADER, variant)],
    }


def _matched(kind: Kind, headers: list[Json]) -> Json:
    # Every path that is left is of the kind without a name.
    path = {"safe_regex": {"regex": kind.paths}} if kind.name else {"prefix": "/"}
    match = {"match": {**path, **({"headers": headers} if headers else {})}}
    if not (kind.grpc and kind.streamed):
        return match
    # A stream of requests has no end to wait for.
    return {**match, **_buffered({"disabled": True})}


def _buffered(settings: Json) -> Json:
    """How a route's bodies are kept until they are whole, where it is not as for all others."""
    kind = f"{_FILTERS}.buffer.v3.BufferPerRoute"
    return {"typed_per_filter_config": {BUFFER: {"@type": kind, **settings}}}


def _within(kind: Kind) -> Json:
    """How long a whole answer may take, where it is not Envoy's 15 s."""
    return {"timeout": "0s"} if kind.streamed else {}


def _action(rules: Assignment, split: Split, kind: Kind) -> Json:
    weighted: Json = {"clusters": _clusters(split, kind.behind)}
    if rules.unit == "request":
        return {"weighted_clusters": weighted}
    salt = rules.salt.replace("\\", "\\\\")
    # An id is bytes, of any encoding; HTTP/2 leaves the blanks around it.
    rewrite = {"pattern": {"regex": r"^[ \t]*(\C*?)[ \t]*$"}, "substitution": rf"{salt}:\1"}
    return {
        "hash_policy": [{"header": {"header_name": rules.key, "regex_rewrite": rewrite}}],
        "weighted_clusters": {"use_hash_policy": True, **weighted},
    }


def _clusters(split: Split, behind: str) -> list[Json]:
    """Regions in order, a variant as often as it has regions; the total is always the same."""
    assert sum(r.stop - r.start for r in regions(split)) == TOTAL_BP
    return [
        {
            "name": region.variant + behind,
            "weight": region.stop - region.start,
            "response_headers_to_add": [_set(VARIANT_HEADER, region.variant)],
        }
        for region in regions(split)
    ]


def _exactly(header: str, value: str) -> Json:
    return {"name": header, "string_match": {"exact": value}}


def _set(header: str, value: str) -> Json:
    # Envoy formats values; a lone % would be the start of a command.
    return {
        "header": {"key": header, "value": value.replace("%", "%%")},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def routes(dump: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The RouteConfiguration of that name in a dump, if there is one."""
    found = (each.get("route_config", {}) for each in dump.get("configs", ()))
    return next((each for each in found if each.get("name") == name), None)


def holds(loaded: Any, wanted: Any) -> bool:
    """Whether everything that is wanted was loaded; Envoy leaves out what is so by default."""
    if loaded is None:
        return not wanted
    if isinstance(wanted, dict):
        return isinstance(loaded, dict) and all(
            holds(loaded.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        same = isinstance(loaded, list) and len(loaded) == len(wanted)
        return same and all(map(holds, loaded, wanted))
    # Whole numbers of 64 bits are texts in what Envoy says.
    return bool(loaded == wanted or (isinstance(wanted, int) and loaded == str(wanted)))
