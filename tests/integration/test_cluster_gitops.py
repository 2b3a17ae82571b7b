"""The recipes of docs/operations.md for GitOps tools: a sync leaves the split alone.

Neither Argo CD nor Flux runs here. What a sync writes is made by the rules of their documentation,
and written to a real API server as they write it: client-side by Argo CD, server-side with force
by Flux.
"""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from controllers import Controllers

from abctl.cluster.kube import ClusterClient
from abctl.core.split import Split
from abctl.session import adopt
from abctl.session.session import Session
from abctl.session.shift import plan, shift

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
SECTION = PAGE[PAGE.index("## GitOps") :].split("\n## ")[0]
RECIPES = {
    title: yaml.safe_load(text)
    for title, text in re.findall(r"\*\*(.*?)\*\*[^\n]*\n```yaml\n(.*?)```", SECTION, re.DOTALL)
}
A, B = (Split(("v1", "v2"), shares) for shares in ((9000, 1000), (7000, 3000)))
FLUX = "kustomize.toolkit.fluxcd.io"


def in_git(namespace, hosts=("iris.example.com",)):
    refs = [{"name": name, "port": 8080, "weight": w} for name, w in (("v1", 90), ("v2", 10))]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "iris", "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "public"}],
            "hostnames": [*hosts],
            "rules": [{"backendRefs": refs}],
        },
    }


def parent_of(obj, pointer):
    """What holds the field that a JSON pointer names, and its key there."""
    *way, last = pointer.split("/")[1:]
    for step in way:
        obj = obj[int(step)] if isinstance(obj, list) else obj[step]
    return obj, last


def without(obj, pointers):
    obj = copy.deepcopy(obj)
    for pointer in pointers:
        parent, last = parent_of(obj, pointer)
        parent.pop(last, None)
    return obj


def has(live, wanted):
    """Whether an object has all that another one says; the server adds defaults."""
    if isinstance(wanted, dict):
        return all(key in live and has(live[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(live) == len(wanted) and all(map(has, live, wanted))
    return bool(live == wanted)


class World:
    """An HTTPRoute that a tool applies from Git."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace

    @property
    def session(self):
        client = ClusterClient(kubeconfig=self.cluster.kubeconfig)
        carrier, made_up, found = adopt.experiment(client, "httproute/iris", self.namespace)
        adopting = adopt.Adopting(client, made_up, found)
        return Session(adopting, carrier, made_up, adopted=True, actor="ann", clock=client.now)

    def live(self):
        found = self.cluster.kubectl(
            *("get", "httproute", "iris", "-n", self.namespace, "-o", "json", "--ignore-not-found")
        )
        return json.loads(found) if found.strip() else None

    def apply(self, obj, *how):
        self.cluster.kubectl("apply", *how, "-f", "-", stdin=json.dumps(obj))

    def argo(self, recipe, git):
        """ignoreDifferences hides a difference; a sync copies what it ignores, lists as a whole."""
        (ignored,) = recipe["spec"]["ignoreDifferences"]
        api = git["apiVersion"].partition("/")[0]
        assert (ignored["group"], ignored["kind"], ignored["name"]) == (api, "HTTPRoute", "iris")
        options = recipe["spec"]["syncPolicy"]["syncOptions"]
        assert options == ["ApplyOutOfSyncOnly=true", "RespectIgnoreDifferences=true"]
        if (live := self.live()) is not None:
            if has(without(live, ignored["jsonPointers"]), without(git, ignored["jsonPointers"])):
                return
            git = copy.deepcopy(git)
            git["spec"]["rules"] = live["spec"]["rules"]
        self.apply(git)

    def flux(self, recipe, git):
        """What is ignored is taken from the cluster."""
        (ignored,) = recipe["spec"]["ignore"]
        assert ignored["target"] == {"kind": git["kind"], "name": git["metadata"]["name"]}
        git = copy.deepcopy(git)
        if (live := self.live()) is not None:
            for pointer in ignored["paths"]:
                (ours, last), (theirs, _) = parent_of(git, pointer), parent_of(live, pointer)
                ours[last] = theirs[last]
        self.forced(git)

    def flux_before(self, recipe, git):
        """What Git annotates so is made where it is not there, and then left alone."""
        assert recipe["metadata"]["annotations"] == {f"{FLUX}/ssa": "IfNotPresent"}
        if self.live() is None:
            self.forced(git)

    def forced(self, git):
        who = "--field-manager=kustomize-controller"
        self.apply(git, "--server-side", "--force-conflicts", who)


@pytest.fixture
def world(crds, make_namespace):
    space = make_namespace(crds)
    with Controllers(crds, space, "httproutes"):
        yield World(crds, space)


SYNCS = {"Argo CD": World.argo, "Flux 2.9": World.flux, "Flux before 2.9": World.flux_before}


def test_each_tool_has_a_recipe():
    assert RECIPES.keys() == SYNCS.keys()


@pytest.mark.parametrize("tool", SYNCS)
def test_a_sync_by_the_recipe_leaves_the_split(world, tool):
    def sync(**changes):
        SYNCS[tool](world, RECIPES[tool], in_git(world.namespace, **changes))

    sync()
    assert shift(world.session, B, why="more").changed
    sync()
    assert world.session.observe().asked == B
    assert not world.session.observe().drifted
    # What else changes in Git still comes, but for what is made once alone.
    sync(hosts=["iris.example.com", "more.example.com"])
    assert world.session.observe().asked == B
    assert len(world.live()["spec"]["hostnames"]) == (1 if tool == "Flux before 2.9" else 2)
    assert shift(world.session, A, why="back").changed


def test_without_a_recipe_the_same_sync_puts_the_split_back(world):
    world.forced(in_git(world.namespace))
    assert shift(world.session, B, why="more").changed
    world.forced(in_git(world.namespace))
    assert world.session.observe().asked == A


@pytest.mark.parametrize(
    ("tool", "label"),
    [("Argo CD", "argocd.argoproj.io/instance"), ("Flux 2.9", f"{FLUX}/name")],
)
def test_abctl_says_the_recipe_with_the_objects_own_paths(world, tool, label):
    git = in_git(world.namespace)
    git["metadata"]["labels"] = {label: "shop"}
    world.forced(git)
    (owner,) = plan(world.session, B).owners
    spec = RECIPES[tool]["spec"]
    (ignored,) = spec.get("ignore") or spec["ignoreDifferences"]
    assert all(p in owner.advice for p in ignored.get("paths") or ignored["jsonPointers"])
