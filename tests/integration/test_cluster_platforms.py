"""Every worked example on a real API server, with the real CRDs: accepted, read back, shifted."""

from dataclasses import replace
from pathlib import Path

import pytest

from abctl import plugins
from abctl.cluster.kube import ClusterClient
from abctl.core.change import Change, Ref
from abctl.core.experiment import Shadow
from abctl.core.split import Split
from abctl.errors import ClusterError
from abctl.platforms import platform
from abctl.session import apply as service
from abctl.session.adopt import experiment as adopted
from abctl.session.open import Where, open_session

EXAMPLES = sorted(Path(__file__).parents[2].glob("k8s/experiments/*.yaml"))
SPLITS = [(5000, 5000), (10_000, 0), (0, 10_000), (3000, 7000)]


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def session(request, crds, namespace):
    where = Where(kubeconfig=crds.kubeconfig, namespace=namespace)
    found = open_session(str(request.param), where)
    if (entrance := found.experiment.entrance) is None:
        return found
    # Another test may have the host of the example, and one host has one experiment.
    entrance = replace(entrance, host=f"{namespace}.example.com")
    return replace(found, experiment=replace(found.experiment, entrance=entrance))


def test_there_is_a_worked_example_of_every_platform():
    assert [path.stem for path in EXAMPLES] == list(plugins.names("abctl.platforms"))


def test_what_is_rendered_is_accepted_and_every_shift_reads_back(session, crds):
    client, carrier, experiment = session.world, session.platform, session.experiment
    for obj in (*carrier.baseline(experiment), *carrier.objects(experiment)):
        client.apply(obj)
    objects = service.wanted(session)
    # Whatever the server adds of its own is no difference.
    assert not [step.ref for step in service.steps(session, objects) if step.changes]
    target = carrier.target(experiment)
    for shares_bp in SPLITS:
        split = Split(experiment.split.names, shares_bp)
        before = client.get(target)
        change = Change(before, carrier.with_split(before, split)).json_patch()
        tried = client.patch(target, change, dry_run=True)
        assert carrier.split_of(tried) == split
        assert client.get(target) == before
        client.patch(target, change)
        assert carrier.split_of(client.get(target)) == split
        kind = f"{target.kind}.{target.api_version.rpartition('/')[0]}".rstrip(".")
        seen = crds.read("-n", target.namespace, kind, target.name)
        assert carrier.split_of(seen) == split
        assert "abctl" in {m["manager"] for m in _managed(crds, target, kind)}


def test_a_shadow_is_accepted(session):
    carrier, model = session.platform, session.experiment.variants[1].model
    if not carrier.CAPABILITIES.shadow:
        pytest.skip("it cannot copy requests, and says so before anything is written")
    for obj in carrier.objects(replace(session.experiment, shadow=Shadow("next", model, 10))):
        session.world.apply(obj, dry_run=True)


def _managed(cluster, ref, kind):
    shown = cluster.read("-n", ref.namespace, kind, ref.name, "--show-managed-fields")
    return shown["metadata"]["managedFields"]


def test_an_unknown_field_is_refused_and_nothing_is_written(session):
    for obj in session.objects:
        with pytest.raises(ClusterError, match="abctlKnowsNoSuchField"):
            session.world.apply({**obj, "abctlKnowsNoSuchField": 1})
    assert not [s for s in service.steps(session, service.wanted(session)) if s.before]


@pytest.mark.parametrize(
    ("example", "word"),
    [
        ("seldon", "sdep/iris"),
        ("kserve", "isvc/iris"),
        ("inferencegraph", "ig/iris"),
        ("gateway", "httproute/iris"),
        ("grpcroute", "grpcroute/iris"),
        ("flagd", "ff/iris"),
        ("flagset", "cm/iris"),
        ("istio", "vs/iris"),
        ("seldon2", "experiment/iris"),
        ("envoy", "cm/iris-envoy"),
        ("nginx", "configmap/iris-nginx"),
    ],
)
def test_an_object_is_found_by_kubectls_words(example, word, crds, namespace):
    path = next(path for path in EXAMPLES if path.stem == example)
    where = Where(kubeconfig=crds.kubeconfig, namespace=namespace)
    session = open_session(str(path), where)
    for obj in session.objects:
        if Ref.of(obj) == session.target:
            session.world.create(obj)
    client = ClusterClient(kubeconfig=crds.kubeconfig)
    carrier, found, obj = adopted(client, word, namespace)
    assert carrier == platform(example)
    assert obj == client.get(carrier.target(found))
    assert carrier.target(found) == session.target
    assert found.split.shares_bp == session.experiment.split.shares_bp
    seen = open_session(word, where).observe()
    assert (seen.asked, seen.drifted) == (found.split, False)
