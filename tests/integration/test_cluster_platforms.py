"""Every worked example on a real API server, with the real CRDs: accepted, read back, shifted."""

from dataclasses import replace
from pathlib import Path

import pytest
from abctl.session.place import Where, find

from abctl import plugins
from abctl.cluster.kube import KubeDoor
from abctl.core.change import Change, Ref
from abctl.core.experiment import Shadow
from abctl.core.split import Split
from abctl.errors import ClusterError
from abctl.platforms import platform
from abctl.session import apply as service
from abctl.session.adopt import experiment as adopted

EXAMPLES = sorted(Path(__file__).parents[2].glob("k8s/experiments/*.yaml"))
SPLITS = [(5000, 5000), (10_000, 0), (0, 10_000), (3000, 7000)]


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def place(request, crds, namespace):
    where = Where(kubeconfig=crds.kubeconfig, namespace=namespace)
    return find(str(request.param), where, now=0.0)


def test_there_is_a_worked_example_of_every_platform():
    assert [path.stem for path in EXAMPLES] == list(plugins.names("abctl.platforms"))


def test_what_is_rendered_is_accepted_and_every_shift_reads_back(place, crds):
    door, carrier, experiment = place.door, place.platform, place.experiment
    for obj in (*carrier.baseline(experiment), *carrier.objects(experiment)):
        door.apply(obj)
    objects = service.wanted(door, carrier, experiment)
    # Whatever the server adds of its own is no difference.
    assert not [step.ref for step in service.steps(door, objects) if step.changes]
    target = carrier.target(experiment)
    for shares_bp in SPLITS:
        split = Split(experiment.split.names, shares_bp)
        before = door.get(target)
        change = Change(before, carrier.with_split(before, split)).json_patch()
        tried = door.patch(target, change, dry_run=True)
        assert carrier.split_of(tried) == split
        assert door.get(target) == before
        door.patch(target, change)
        assert carrier.split_of(door.get(target)) == split
        kind = f"{target.kind}.{target.api_version.rpartition('/')[0]}".rstrip(".")
        seen = crds.read("-n", target.namespace, kind, target.name)
        assert carrier.split_of(seen) == split
        assert "abctl" in {m["manager"] for m in _managed(crds, target, kind)}


def test_a_shadow_is_accepted(place):
    carrier, model = place.platform, place.experiment.variants[1].model
    if not carrier.CAPABILITIES.shadow:
        pytest.skip("it cannot copy requests, and says so before anything is written")
    for obj in carrier.objects(replace(place.experiment, shadow=Shadow("next", model, 10))):
        place.door.apply(obj, dry_run=True)


def _managed(cluster, ref, kind):
    shown = cluster.read("-n", ref.namespace, kind, ref.name, "--show-managed-fields")
    return shown["metadata"]["managedFields"]


def test_an_unknown_field_is_refused_and_nothing_is_written(place):
    for obj in place.platform.objects(place.experiment):
        with pytest.raises(ClusterError, match="abctlKnowsNoSuchField"):
            place.door.apply({**obj, "abctlKnowsNoSuchField": 1})
    assert not [s for s in service.steps(place.door, service.wanted(*_of(place))) if s.before]


def _of(place):
    return place.door, place.platform, place.experiment


@pytest.mark.parametrize(
    ("example", "word"),
    [
        ("seldon", "sdep/iris"),
        ("kserve", "isvc/iris"),
        ("inferencegraph", "ig/iris"),
        ("gateway", "httproute/iris"),
        ("istio", "vs/iris"),
        ("seldon2", "experiment/iris"),
        ("envoy", "cm/iris-envoy"),
        ("nginx", "configmap/iris-nginx"),
    ],
)
def test_an_object_is_found_by_kubectls_words(example, word, crds, namespace):
    path = next(path for path in EXAMPLES if path.stem == example)
    where = Where(kubeconfig=crds.kubeconfig, namespace=namespace)
    place = find(str(path), where, now=0.0)
    for obj in place.platform.objects(place.experiment):
        if Ref.of(obj) == place.platform.target(place.experiment):
            place.door.create(obj)
    door = KubeDoor(kubeconfig=crds.kubeconfig)
    carrier, found, obj = adopted(door, word, namespace)
    assert carrier == platform(example)
    assert obj == door.get(carrier.target(found))
    # Where pods tell the status it is read once more, when they can be asked.
    asks = carrier.CAPABILITIES.inquiry is not None
    assert find(word, where, now=0.0).found == (None if asks else obj)
    assert carrier.target(found) == place.platform.target(place.experiment)
    assert found.split.shares_bp == place.experiment.split.shares_bp
