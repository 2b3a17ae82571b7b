"""Envoy's routes of an experiment: as they are written, and as an Envoy says it has loaded them.

The first route that matches decides. Every answer carries `x-ab-variant`, also those that Envoy
makes itself; every request to a model server has `x-ab-randomized`, which says whether
chance put it there, whatever the client sent.

What it has loaded are the routes of its configuration dump.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from abctl.core.assignment import regions
from abctl.core.experiment import Assignment, Cohort, Experiment
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import SpecError

VARIANT = "x-ab-variant"
RANDOMIZED = "x-ab-randomized"
_NAMESPACE = "abctl"
_SPLIT = "split"
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
    names, rules = experiment.split.names, experiment.assignment
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
                    *_feedback(names),
                    *_override(rules, names),
                    *(_cohort(rules, cohort) for cohort in rules.cohorts),
                    *_without_key(rules, experiment.split.control),
                    _randomized(experiment),
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
    names = _names(_split_route(configuration))
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


def split_of(configuration: Mapping[str, Any]) -> Split:
    """The split in the routes.

    Raises:
        SpecError: the weights are not a split.
        LookupError: not a configuration of abctl.
    """
    route = _split_route(configuration)
    shares = dict.fromkeys(_names(route), 0)
    for cluster in route["route"]["weighted_clusters"]["clusters"]:
        shares[cluster["name"]] += cluster.get("weight", 0)
    return Split(tuple(shares), tuple(shares.values()))


def _resplit(route: Json, split: Split) -> Json:
    if route.get("name") != _SPLIT:
        return route
    action = route["route"]
    weighted = {**action["weighted_clusters"], "clusters": _clusters(split)}
    return {**route, "route": {**action, "weighted_clusters": weighted}}


def _split_route(configuration: Mapping[str, Any]) -> Json:
    routes = [r for host in configuration["virtual_hosts"] for r in host["routes"]]
    found: list[Json] = [route for route in routes if route.get("name") == _SPLIT]
    return found[0]


def _names(route: Json) -> tuple[str, ...]:
    return tuple(route["metadata"]["filter_metadata"][_NAMESPACE]["variants"])


def _feedback(names: tuple[str, ...]) -> Iterable[Json]:
    for name in names:
        yield {
            "match": {"path": "/feedback", "headers": [_exactly(VARIANT, name)]},
            "route": {"cluster": name},
            "request_headers_to_remove": [RANDOMIZED],
            "response_headers_to_add": [_set(VARIANT, name)],
        }
    yield {
        "match": {"path": "/feedback"},
        "direct_response": {"status": 400, "body": {"inline_string": ASK_FOR_VARIANT}},
    }


def _override(rules: Assignment, names: tuple[str, ...]) -> Iterable[Json]:
    if rules.override is not None:
        for name in names:
            yield _fixed([_exactly(rules.override, name)], name)


def _cohort(rules: Assignment, cohort: Cohort) -> Json:
    match = [_exactly(cohort.header, cohort.value)]
    if cohort.variant is not None:
        return _fixed(match, cohort.variant)
    if cohort.split is None:
        raise SpecError(
            f"cohort {cohort.header}={cohort.value}: neither a variant nor a split",
            "variant: treatment, or split: 50/50",
        )
    if rules.unit != "request":
        # Without a key the hash would be random per request; such requests fall through.
        match.append({"name": rules.key, "string_match": {"safe_regex": {"regex": "(?s).+"}}})
    return {
        "match": {"prefix": "/", "headers": match},
        "route": _action(rules, cohort.split),
        "request_headers_to_add": [_set(RANDOMIZED, "false")],
    }


def _without_key(rules: Assignment, control: str) -> Iterable[Json]:
    if rules.unit != "request":
        empty = {"exact": ""}
        match = {"name": rules.key, "string_match": empty, "treat_missing_header_as_empty": True}
        yield _fixed([match], control)


def _randomized(experiment: Experiment) -> Json:
    split = experiment.split
    return {
        "name": _SPLIT,
        "match": {"prefix": "/"},
        "route": {**_action(experiment.assignment, split), **_copied(experiment)},
        "request_headers_to_add": [_set(RANDOMIZED, "true")],
        # Shares of zero leave no trace among the clusters: the names and their order live here.
        "metadata": {"filter_metadata": {_NAMESPACE: {"variants": list(split.names)}}},
    }


def _copied(experiment: Experiment) -> Json:
    if (shadow := experiment.shadow) is None:
        return {}
    share = {"default_value": {"numerator": shadow.percent, "denominator": "HUNDRED"}}
    return {"request_mirror_policies": [{"cluster": shadow.name, "runtime_fraction": share}]}


def _fixed(match: list[Json], variant: str) -> Json:
    return {
        "match": {"prefix": "/", "headers": match},
        "route": {"cluster": variant},
        "request_headers_to_add": [_set(RANDOMIZED, "false")],
        "response_headers_to_add": [_set(VARIANT, variant)],
    }


def _action(rules: Assignment, split: Split) -> Json:
    weighted: Json = {"clusters": _clusters(split)}
    if rules.unit == "request":
        return {"weighted_clusters": weighted}
    salt = rules.salt.replace("\\", "\\\\")
    rewrite = {"pattern": {"regex": r"(?s)^(.*)$"}, "substitution": rf"{salt}:\1"}
    return {
        "hash_policy": [{"header": {"header_name": rules.key, "regex_rewrite": rewrite}}],
        "weighted_clusters": {"use_hash_policy": True, **weighted},
    }


def _clusters(split: Split) -> list[Json]:
    """Regions in order, a variant as often as it has regions; the total is always the same."""
    assert sum(r.stop - r.start for r in regions(split)) == TOTAL_BP
    return [
        {
            "name": region.variant,
            "weight": region.stop - region.start,
            "response_headers_to_add": [_set(VARIANT, region.variant)],
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
    return bool(loaded == wanted)
