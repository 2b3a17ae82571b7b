"""The reader of a proxy's access log: where it is, what it is told, and who may ask it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from abctl.core.experiment import Source
from abctl.core.template import Template, Templates
from abctl.metrics import presets
from abctl.spec import load
from abctl.spec.measurement import access_log
from abctl.spec.render import render

EXAMPLES = Path(__file__).parents[3] / "k8s" / "experiments"
# Where abctl makes the proxy, and somebody reads its log.
NAMES = ["envoy", "nginx"]

pytestmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def example(name):
    return load(EXAMPLES / f"{name}.yaml")


def rendered(experiment, kind):
    name = f"{experiment.name}-{experiment.platform}"
    [found] = [o for o in render(experiment) if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def containers(experiment):
    pod = rendered(experiment, "Deployment")["spec"]["template"]["spec"]
    return {each["name"]: each for each in pod["containers"]}


def with_models(experiment, **model):
    variants = (replace(v, model=replace(v.model, **model)) for v in experiment.variants)
    return replace(experiment, variants=tuple(variants))


def test_every_proxy_whose_log_somebody_reads_is_tested_here(name):
    assert presets.log_of_platform(name) == "access-log"
    assert sorted(NAMES) == sorted(presets.preset("access-log").platforms)


def test_it_stands_beside_the_proxy_with_the_least_rights(example, name):
    proxy, reader = containers(example).values()
    assert (proxy["name"], reader["name"]) == (name, "access-log")
    assert reader["image"] == example.control.model.image
    security = reader["securityContext"]
    assert security["runAsNonRoot"]
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert not security["allowPrivilegeEscalation"]
    assert {"requests", "limits"} == reader["resources"].keys()
    # Requests wait until it counts, and none is refused because it stopped.
    assert "startupProbe" in reader
    assert "readinessProbe" not in reader
    # It counts until the proxy has ended.
    asleep = [c["lifecycle"]["preStop"]["sleep"]["seconds"] for c in (proxy, reader)]
    assert asleep[0] < asleep[1] < 30


def test_it_is_told_whose_users_it_counts(example):
    told = {each["name"]: each["value"] for each in containers(example)["access-log"]["env"]}
    assert told["AB_VARIANTS"] == "control,treatment"
    assert told["AB_SALT"] == example.assignment.salt
    assert told["AB_BUCKETS"] == str(example.assignment.buckets)


def test_its_counters_are_prometheus_to_read_and_no_part_of_the_service(example):
    [port] = containers(example)["access-log"]["ports"]
    told = {each["name"]: each["value"] for each in containers(example)["access-log"]["env"]}
    assert told["AB_PAGE"] == f"0.0.0.0:{port['containerPort']}"
    entrance, counters = rendered(example, "NetworkPolicy")["spec"]["ingress"]
    number = {"port": port["containerPort"], "protocol": "TCP"}
    assert number not in entrance["ports"]
    assert number in counters["ports"]
    [caller] = counters["from"]
    assert caller["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
    service = rendered(example, "Service")
    assert [each["name"] for each in service["spec"]["ports"]] == ["http"]
    # By this a ServiceMonitor finds it.
    assert service["metadata"]["labels"]["app.kubernetes.io/component"] == "proxy"


def test_a_template_reaches_it(example):
    spec = {"containers": [{"name": "access-log", "resources": {"requests": {"cpu": "1"}}}]}
    changed = replace(example, templates=Templates(proxy=Template(spec=spec)))
    assert containers(changed)["access-log"]["resources"]["requests"]["cpu"] == "1"


def test_where_nobody_wants_or_can_read_it_there_is_none(example):
    def source(preset):
        return replace(example, source=Source("prometheus", {}, preset))

    assert source("abctl").source.preset == "abctl"
    assert access_log(example) == access_log(source("abctl")) == "access-log"
    assert "access-log" in containers(source("abctl"))
    for other in (
        replace(example, access_log=False),
        # Of an image that counts otherwise nobody knows what is in it.
        source("mlserver"),
        source(example.platform),
        with_models(example, image=None, service="iris:80"),
    ):
        assert access_log(other) is None
        assert "access-log" not in containers(other)
        config = json.dumps(rendered(other, "ConfigMap"))
        assert "access-log" not in config
        assert "access_log" not in config.replace("access_log off", "")
        policy = rendered(other, "NetworkPolicy")
        assert "9902" not in json.dumps(policy)


def test_a_log_in_a_file_is_in_memory_and_of_one_user(example, name):
    told = {each["name"]: each["value"] for each in containers(example)["access-log"]["env"]}
    address = told["AB_LOG_ADDRESS"]
    pod = rendered(example, "Deployment")["spec"]["template"]["spec"]
    if not address.startswith("file:"):
        assert all(each["name"] != "access-log" for each in pod["volumes"])
        return
    path = Path(address.removeprefix("file:"))
    [config] = rendered(example, "ConfigMap")["data"].values()
    # Predictions are logged, by REST and gRPC, answered at once or in parts; nothing else is.
    assert config.count(f"access_log {path} ") == 4
    [volume] = [each for each in pod["volumes"] if each["name"] == "access-log"]
    assert volume["emptyDir"]["medium"] == "Memory"
    assert "sizeLimit" in volume["emptyDir"]
    mount = {"name": "access-log", "mountPath": str(path.parent)}
    assert all(mount in each["volumeMounts"] for each in pod["containers"])
    assert len({each["securityContext"]["runAsUser"] for each in pod["containers"]}) == 1
