"""What an Experiment object may not name; hostile ones are refused with words."""

import pytest
import yaml

from abctl.controller.permitted import Allowed, require_permitted
from abctl.errors import SpecError
from abctl.session.declared import Declared
from abctl.spec.init import starter

URL = "http://prometheus.monitoring:9090"
ALLOWED = Allowed(frozenset(["prometheus.monitoring:9090", "monitoring/prometheus"]))


def declared(edit=lambda spec: None, **obj):
    file = yaml.safe_load(starter("iris", "envoy"))
    file["metadata"] |= {"namespace": "models", "uid": "7", "generation": 1}
    file["spec"]["source"] = {"prometheus": {"url": URL}}
    edit(file["spec"])
    return Declared(file | obj)


def source(**given):
    return lambda spec: spec.update(source=given)


def tables(spec, **given):
    """Of tables that are read by whoever opens them."""
    rows = {"from": "read_csv('/etc/passwd')", "unit": "u", "at": "t"}
    both = {"exposures": rows | {"variant": "v"}, "events": rows | {"name": "n"}}
    spec["source"] = {"prometheus": {"url": URL}, "table": both | given}
    of_users = {"kind": "mean", "per": "user", "window": "7d", "of": "sale", "mde": "2%"}
    spec["metrics"][0] |= of_users


def prometheus(**given):
    return source(prometheus={"url": URL} | given)


HOSTILE = {
    "file": source(file={"path": "/etc/shadow"}),
    "scrape": source(scrape={"file": "/var/run/secrets/kubernetes.io/serviceaccount/token"}),
    "table": tables,
    "connection": lambda spec: tables(
        spec,
        engine="postgres",
        connection={"host": "localhost"},
        connectionEnv={"password": "AWS_SECRET_ACCESS_KEY"},
    ),
    "loopback": source(prometheus={"url": "http://127.0.0.1:9464"}),
    "localhost": source(prometheus={"url": "http://localhost:8001"}),
    "metadata service": source(prometheus={"url": "http://169.254.169.254/latest"}),
    "another host": source(prometheus={"url": "http://prometheus.monitoring.evil:9090"}),
    "another port": source(prometheus={"url": "http://prometheus.monitoring:22"}),
    "a service of others": source(prometheus={"service": "kube-system/prometheus:9090"}),
    "token file": prometheus(bearerTokenFile="/etc/passwd"),
    "token variable": prometheus(bearerTokenEnv="AWS_SECRET_ACCESS_KEY"),
    "password": prometheus(basicAuth={"username": "a", "passwordEnv": "HOME"}),
    "headers": prometheus(headers={"X-Scope-OrgID": "others"}),
    "secret headers": prometheus(headersEnv={"X-Key": "HOME"}),
    "ca": prometheus(tlsConfig={"caFile": "/etc/passwd"}),
    "proxy": prometheus(proxyUrl="http://evil:3128"),
    "a path": lambda spec: spec["variants"][0]["model"].update(path="/models"),
}
FINE = {
    "an allowed server": lambda spec: None,
    "none": lambda spec: spec.pop("source"),
    "a service of its own": source(prometheus={"service": "prometheus:9090"}),
    "one by its namespace": source(prometheus={"service": "models/prometheus:9090"}),
    "an allowed service": source(prometheus={"service": "monitoring/prometheus:9090"}),
    "how long": prometheus(timeout="10s"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_refused_in_words(name):
    with pytest.raises(SpecError) as caught:
        require_permitted(declared(HOSTILE[name]).experiment(), ALLOWED)
    assert caught.value.message
    assert "--allow-source" in caught.value.hint


@pytest.mark.parametrize("name", FINE)
def test_what_is_not_is_taken(name):
    require_permitted(declared(FINE[name]).experiment(), ALLOWED)


def test_all_of_it_is_told_at_once():
    edit = HOSTILE["another host"]
    both = declared(lambda spec: (edit(spec), HOSTILE["a path"](spec)))
    with pytest.raises(SpecError) as caught:
        require_permitted(both.experiment(), ALLOWED)
    assert "model.path of control" in caught.value.message
    assert "prometheus.monitoring.evil:9090" in caught.value.message


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (declared(apiVersion="abctl.dev/v2"), "abctl.dev/v2 is not abctl.dev/v1alpha1"),
        (declared(lambda spec: spec.update(future={"a": 1})), "future"),
        (declared(lambda spec: spec.update(platform="nonsense")), "nonsense"),
        (declared(lambda spec: spec["variants"][0].update(split="90\x00%")), "split"),
        (declared(lambda spec: spec.clear()), "metrics: is missing"),
        (declared(spec=None), "spec"),
        (declared(spec=[1]), "spec"),
    ],
    ids=range(7),
)
def test_what_the_api_server_lets_pass_is_told_as_of_a_file(obj, said):
    with pytest.raises(SpecError) as caught:
        obj.experiment()
    assert said in caught.value.message
