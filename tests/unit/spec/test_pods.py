"""Templates of pods in a file: values by their types, and every mistake with its place."""

from pathlib import Path

import pytest
import yaml

from abctl.core.locked import locked_words
from abctl.core.template import Template
from abctl.errors import SpecError
from abctl.spec import parse

TEXT = (Path(__file__).parents[3] / "k8s" / "experiments" / "envoy.yaml").read_text()


def read(template="", *, of="template"):
    """The templates of the example with one more, as it is written in a file."""
    at = TEXT.index("  assignment:")
    return parse(f"{TEXT[:at]}  {of}: {template}\n{TEXT[at:]}", "iris.yaml").templates


def test_numbers_and_flags_are_what_their_fields_hold_and_all_else_is_text():
    found = read(
        "{replicas: 2, metadata: {labels: {example.com/team: 1}, annotations: {on: yes}}, spec: {"
        "nodeSelector: {priority: 1, on: true}, terminationGracePeriodSeconds: 60, "
        "automountServiceAccountToken: true, hostNetwork: null, "
        "securityContext: {fsGroup: 1000, supplementalGroups: [1, 2]}, "
        "tolerations: [{key: gpu, operator: Exists, tolerationSeconds: 30}], "
        "containers: [{name: mlserver, env: [{name: N, value: 8}, {name: ON, value: true}], "
        "resources: {limits: {cpu: 2, nvidia.com/gpu: 1}}, "
        "readinessProbe: {httpGet: {path: /x, port: 8080}, failureThreshold: 3}, "
        "livenessProbe: {tcpSocket: {port: http}}}]}}"
    ).every
    assert (found.replicas, found.labels, found.annotations) == (
        2,
        {"example.com/team": "1"},
        {"on": "yes"},
    )
    assert found.spec == {
        "nodeSelector": {"priority": "1", "on": "true"},
        "terminationGracePeriodSeconds": 60,
        "automountServiceAccountToken": True,
        "hostNetwork": None,
        "securityContext": {"fsGroup": 1000, "supplementalGroups": [1, 2]},
        "tolerations": [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 30}],
        "containers": [
            {
                "name": "mlserver",
                "env": [{"name": "N", "value": "8"}, {"name": "ON", "value": "true"}],
                "resources": {"limits": {"cpu": "2", "nvidia.com/gpu": "1"}},
                "readinessProbe": {"httpGet": {"path": "/x", "port": 8080}, "failureThreshold": 3},
                "livenessProbe": {"tcpSocket": {"port": "http"}},
            }
        ],
    }


def test_each_part_of_the_file_has_its_own():
    proxy = read("{replicas: 3}", of="proxy")
    assert (proxy.proxy, proxy.every, proxy.own) == (Template(3), Template(), {})
    of_variant = TEXT.replace('"abctl/iris:v2"}', '"abctl/iris:v2"}, template: {replicas: 4}')
    found = parse(of_variant, "iris.yaml").templates
    assert found.own == {"treatment": Template(4)}
    assert found.of("treatment") == (Template(), Template(4))
    assert found.of("control") == (Template(), Template())


@pytest.mark.parametrize(
    ("template", "place", "hint"),
    [
        ("{replica: 2}", "template.replica", "did you mean replicas?"),
        ("{replicas: -1}", "template.replicas", "replicas:"),
        ("{spec: [a]}", "template.spec", "spec:"),
        ("{metadata: {labels: {-x: y}}}", "template.metadata.labels.-x", "labels:"),
        ("{metadata: {labels: {version: y}}}", "template.metadata.labels.version", "another key"),
        (
            "{metadata: {annotations: {abctl.dev/config: y}}}",
            "template.metadata.annotations.abctl.dev/config",
            "another key",
        ),
        ("{spec: {nodeselector: {a: b}}}", "template.spec.nodeselector", "nodeSelector?"),
        ("{spec: {containers: {name: x}}}", "template.spec.containers", "kubectl explain"),
        ("{spec: {containers: [x]}}", "template.spec.containers[0]", "kubectl explain"),
        (
            "{spec: {containers: [{image: x}]}}",
            "template.spec.containers[0].name",
            "merges this list",
        ),
        (
            "{spec: {containers: [{name: mlserver, resource: {}}]}}",
            "template.spec.containers[0].resource",
            "did you mean resources?",
        ),
        (
            "{spec: {containers: [{name: mlserver, image: x}]}}",
            "template.spec.containers[0].image",
            "model.image",
        ),
        (
            "{spec: {containers: [{name: mlserver, env: [{name: AB_SALT, value: x}]}]}}",
            "template.spec.containers[0].env[0].name",
            "elsewhere",
        ),
        (
            "{spec: {containers: [{name: logger, image: x}]}}",
            "template.spec.containers[0].name",
            "to a variant or the proxy",
        ),
        (
            "{spec: {initContainers: [{name: fetch, image: x}]}}",
            "template.spec.initContainers[0].name",
            "to a variant or the proxy",
        ),
        (
            "{spec: {containers: [{name: mlserver, volumeMounts: [{name: x}]}]}}",
            "template.spec.containers[0].volumeMounts[0].mountPath",
            "merges this list",
        ),
        (
            "{spec: {topologySpreadConstraints: [{maxSkew: 1}]}}",
            "template.spec.topologySpreadConstraints[0].topologyKey",
            "merges this list",
        ),
        ("{spec: {hostAliases: x}}", "template.spec.hostAliases", "kubectl explain"),
        ("{spec: {affinity: &a {x: *a}}}", "template.spec.affinity.x.x", "lead to itself"),
        ("{spec: {hostNetwork: yes}}", "template.spec.hostNetwork", "kubectl explain"),
        ("{spec: {nodeSelector: {a: [b]}}}", "template.spec.nodeSelector.a", "kubectl explain"),
        (
            "{spec: {securityContext: {runAsUser: root}}}",
            "template.spec.securityContext.runAsUser",
            "kubectl explain",
        ),
    ],
)
def test_a_mistake_has_its_place_and_a_hint(template, place, hint):
    with pytest.raises(SpecError) as caught:
        read(template)
    assert caught.value.message.startswith(f"{place} in iris.yaml: "), caught.value.message
    assert hint in caught.value.hint


def test_aliases_that_make_much_of_little_are_refused():
    doubled = "".join(
        f"{name}: &{name} [*{before}, *{before}], "
        for before, name in zip("abcdefghijklmnopqrs", "bcdefghijklmnopqrst", strict=True)
    )
    with pytest.raises(SpecError, match="holds too much"):
        read("{spec: {affinity: {a: &a [x], " + doubled.rstrip(", ") + "}}}")


def test_a_further_container_of_a_variant_or_proxy_needs_an_image():
    logger = "{spec: {containers: [{name: logger%s}], initContainers: [{name: a, image: x}]}}"
    assert read(logger % ", image: x/logger", of="proxy").proxy.spec["containers"]
    with pytest.raises(SpecError, match=r"proxy.spec.containers\[0\].image .* makes no 'logger'"):
        read(logger % "", of="proxy")


def test_how_pods_run_is_not_locked():
    document = yaml.safe_load(TEXT)["spec"]
    locked = locked_words(document)
    document["template"] = document["proxy"] = {"replicas": 2}
    for variant in document["variants"]:
        variant["template"] = {"replicas": 3}
    document["shadow"] = {"name": "next", "model": {}, "template": {"replicas": 1}}
    assert locked_words(document) == {**locked, "shadow": {"name": "next", "model": {}}}
