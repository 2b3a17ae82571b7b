"""What two experiments cannot both have."""

import json
from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.core.change import Ref
from abctl.platforms import gateway, grpcroute, istio
from abctl.spec import load
from abctl.spec.rivals import backends, contested, taken

EXAMPLES = Path(__file__).parents[3] / "k8s/experiments"


@pytest.fixture
def another(tmp_path):
    """An example with some words replaced, in a file of its own."""

    def make(platform, *changes, name="wine"):
        text = (
            (EXAMPLES / f"{platform}.yaml").read_text().replace("name: iris,", f"name: {name},", 1)
        )
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(text)
        return path

    return make


HOST, ELSEWHERE = "iris.example.com", "wine.example.com"


@pytest.mark.parametrize("platform", ["istio", "gateway", "grpcroute"])
def test_two_experiments_at_one_host_of_one_gateway_meet(platform, another, capsys):
    first, same = another(platform, name="iris"), another(platform)
    apart = another(platform, (HOST, ELSEWHERE))
    assert run(["lint", str(first), str(apart)]) == 0
    capsys.readouterr()
    assert run(["lint", str(first), str(same), "-o", "json"]) == 2
    found = json.loads(capsys.readouterr().out)["files"]
    assert [each["valid"] for each in found] == [True, False]
    assert HOST in found[1]["error"]


def test_one_object_or_one_service_of_two_experiments(another):
    image = 'image: "abctl/iris:v2"'
    one = load(another("envoy", name="iris"))
    assert contested(one, one)
    assert contested(one, load(another("envoy"))) == []
    shared = [
        load(another("envoy", (image, "service: iris-v2:8080"), name=name)) for name in ("a", "b")
    ]
    assert contested(*shared) == ["Service models/iris-v2:8080"]
    port = load(another("envoy", (image, "service: iris-v2:9090"), name="c"))
    assert contested(shared[0], port) == []


def test_services_are_of_a_namespace_and_a_port():
    variants = [
        {"name": "a", "model": {"service": "v1"}},
        {"name": "b", "model": {"service": "ml/v1:81"}},
        {"name": "c", "model": {"image": "x:1"}},
    ]
    found = backends({"namespace": "shop", "variants": variants, "shadow": None})
    assert found == {"a": "shop/v1:80", "b": "ml/v1:81"}


def carrier(platform, experiment):
    target = platform.target(experiment)
    return next(o for o in platform.objects(experiment) if Ref.of(o) == target)


def virtual_service(uri=None, hosts=(HOST,), gateways=("istio-ingress/public",)):
    match = {} if uri is None else {"match": [{"uri": uri}]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "site", "namespace": "shop"},
        "spec": {
            "hosts": [*hosts],
            "gateways": [*gateways],
            "http": [{**match, "route": [{"destination": {"host": "site"}}]}],
        },
    }


@pytest.mark.parametrize(
    ("other", "meets"),
    [
        (virtual_service({"prefix": "/v2"}), True),
        (virtual_service({"regex": "/v2/models/[a-z]+/infer"}), True),
        (virtual_service({"exact": "/v2/models/iris/infer"}), True),
        # Istio puts what takes everything last.
        (virtual_service(), False),
        (virtual_service({"prefix": "/"}), False),
        (virtual_service({"prefix": "/shop"}), False),
        (virtual_service({"prefix": "/v2"}, gateways=["public"]), False),
        (virtual_service({"prefix": "/v2"}, hosts=["*.example.com"]), True),
        (virtual_service({"prefix": "/v2"}, hosts=["*"]), True),
        (virtual_service({"prefix": "/v2"}, hosts=["example.com"]), False),
    ],
)
def test_which_virtual_service_takes_the_requests(other, meets, another):
    experiment = load(another("istio", name="iris"))
    found = list(taken(experiment, carrier(istio, experiment), [other]))
    assert bool(found) == meets
    mesh = virtual_service(gateways=())
    own = {**mesh, "metadata": {"name": "iris", "namespace": "shop"}}
    # In the mesh one VirtualService has the whole host.
    assert [ref.name for ref, _ in taken(experiment, own, [mesh, own])] == ["site"]


def http_route(path, hosts=(HOST,), parent="eg", **more):
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "site", "namespace": "models"},
        "spec": {
            "parentRefs": [{"name": parent, **more}],
            "hostnames": [*hosts],
            "rules": [{"matches": [{"path": path}], "backendRefs": [{"name": "site"}]}],
        },
    }


def test_which_http_route_takes_the_requests(another):
    experiment = load(another("gateway", name="iris"))
    own = carrier(gateway, experiment)
    (parent,) = own["spec"]["parentRefs"]
    more = {"parent": parent["name"], "namespace": parent.get("namespace", "models")}

    def meets(path, **changes):
        return bool(list(taken(experiment, own, [http_route(path, **(more | changes))])))

    assert meets({"type": "Exact", "value": "/v2/models/iris/infer"})
    assert not meets({"type": "Exact", "value": "/v2/models/wine/infer"})
    assert not meets({"type": "PathPrefix", "value": "/"})
    assert not meets({"type": "Exact", "value": "/v2/models/iris/infer"}, parent="other")
    assert not meets({"type": "Exact", "value": "/v2/models/iris/infer"}, hosts=[ELSEWHERE])


def test_a_listener_has_a_host_for_routes_of_one_kind(another):
    experiment = load(another("grpcroute", name="iris"))
    own = carrier(grpcroute, experiment)
    (parent,), (host,) = own["spec"]["parentRefs"], own["spec"]["hostnames"]
    more = {"parent": parent["name"], "namespace": parent.get("namespace", "models")}
    elsewhere = {"type": "Exact", "value": "/somewhere/else"}

    def meets(**changes):
        route = http_route(elsewhere, **(more | {"hosts": [host]} | changes))
        return [where for _, where in taken(experiment, own, [route])]

    assert len(meets()) == 1
    assert host in meets()[0]
    assert not meets(hosts=[ELSEWHERE])
    assert not meets(hosts=["*.example.com"])  # a virtual host of its own
    assert not meets(parent="other")
    # An Istio gateway of the same name is another thing.
    name = f"{more['namespace']}/{parent['name']}"
    mesh = virtual_service({"prefix": "/"}, hosts=[host], gateways=[name])
    assert not list(taken(experiment, own, [mesh]))
