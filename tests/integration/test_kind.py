"""What .ci/kind asks of kind, docker, helm, kubectl and abctl, by programs that note their calls.

No kind cluster runs here. Arguments are checked against the files and commands of this checkout.
"""

import os
import re
import shlex
import subprocess

import pytest
import yaml
from api_server import ROOT
from stand_ins import StandIns

from abctl.cli._app import app

pytestmark = pytest.mark.process

OVERLAYS = {
    "kind-envoy": "cm/iris-envoy",
    "kind-gateway": "httproute/iris",
    "kind-kserve": "isvc/iris",
    "kind-seldon": "sdep/iris",
}
PROGRAMS = ("docker", "kind", "kubectl", "helm", "go")


class Checkout:
    """A folder that looks like this checkout, with programs that stand in."""

    def __init__(self, folder):
        self.folder = folder / "checkout"
        (self.folder / ".ci").mkdir(parents=True)
        (self.folder / ".venv" / "bin").mkdir(parents=True)
        for each in (".ci/kind", "k8s", "tests", "kind-config.yaml", "model_servers", "Dockerfile"):
            (self.folder / each).symlink_to(ROOT / each)
        self.programs = StandIns(folder)
        pod, module = ("pod/iris-0", 0), (f"{folder}/module v0.20.0", 0)
        self.add(*PROGRAMS, **{"kubectl -n models get pods": pod, "go list": module})
        for each in ("abctl", "pytest"):
            self.add(each)
            (self.folder / ".venv" / "bin" / each).symlink_to(self.programs.folder / each)
        install = folder / "module" / "install" / "v0.20.0"
        install.mkdir(parents=True)
        script = install / "kserve-knative-mode-full-install-with-manifests.sh"
        script.write_text("helm kserve-was-installed\n")

    def add(self, *names, **answers):
        self.programs.add(*names, **answers)

    def run(self, *words):
        # Nothing of the machine but bash and coreutils, so that no real kind is ever asked.
        environment = {
            "PATH": f"{self.programs.folder}:{tools(self.programs.folder.parent)}",
            "HOME": os.environ["HOME"],
        }
        return subprocess.run(
            [self.folder / ".ci" / "kind", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def calls(self, name):
        return [arguments for called, arguments, _, _ in self.programs.calls if called == name]


def tools(folder):
    """A folder with the programs of a bare machine."""
    found = folder / "tools"
    found.mkdir(exist_ok=True)
    for each in ("bash", "env", "dirname", "mkdir", "grep", "cat", "sleep", "rm"):
        path = subprocess.run(["which", each], capture_output=True, text=True, check=True)
        (found / each).exists() or (found / each).symlink_to(path.stdout.strip())
    return found


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def option(arguments, name):
    return arguments[arguments.index(name) + 1]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_cluster_is_made_of_pinned_parts(checkout, overlay) -> None:
    done = checkout.run("up", overlay)
    assert done.returncode == 0, done.stderr
    (create,) = [call for call in checkout.calls("kind") if call[0] == "create"]
    assert create[:2] == ["create", "cluster"]
    config = yaml.safe_load((checkout.folder / option(create, "--config")).read_text())
    assert config["kind"] == "Cluster"
    assert re.fullmatch(r"kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", option(create, "--image"))
    kept = {env["KUBECONFIG"] for _, _, env, _ in checkout.programs.calls}
    assert kept == {f"{checkout.folder}/build/kind/kubeconfig"}
    for call in checkout.calls("helm"):
        assert call == ["kserve-was-installed"] or option(call, "--version")


@pytest.mark.parametrize(
    ("overlay", "wanted"),
    [
        ("kind-envoy", []),
        ("kind-gateway", ["eg"]),
        ("kind-kserve", ["kserve-was-installed"]),
        ("kind-seldon", ["istio-base", "istiod", "istio-ingressgateway", "seldon-core"]),
    ],
)
def test_an_overlay_gets_what_it_needs_and_nothing_else(checkout, overlay, wanted) -> None:
    assert checkout.run("up", overlay).returncode == 0
    assert [call[call[0] == "install"] for call in checkout.calls("helm")] == wanted


def test_the_gateway_that_seldon_is_told_of_is_the_one_that_is_made(checkout) -> None:
    assert checkout.run("up", "kind-seldon").returncode == 0
    (made,) = [yaml.safe_load(stdin) for name, _, _, stdin in checkout.programs.calls if stdin]
    place = f"{made['metadata']['namespace']}/{made['metadata']['name']}"
    assert f"istio.gateway={place}" in checkout.calls("helm")[-1]


def test_a_kind_of_another_version_is_told(checkout) -> None:
    checkout.add("kind", **{"kind version": ("kind v0.30.0 go1.24.6 linux/amd64", 0)})
    assert "note" not in checkout.run("up", "kind-envoy").stderr
    assert "is meant for kind v0.17.0" in checkout.run("up", "kind-seldon").stderr


def test_every_image_that_is_loaded_was_built_and_is_one_that_the_overlays_name(checkout) -> None:
    done = checkout.run("load")
    assert done.returncode == 0, done.stderr
    built = {option(call, "-t"): call for call in checkout.calls("docker")}
    for image, call in built.items():
        assert call[0] == "build"
        assert call[-1] == "."
        if image.startswith("abctl/iris"):
            assert (checkout.folder / option(call, "-f")).is_file()
            version = option(call, "--build-arg").removeprefix("VERSION=")
            assert image == f"abctl/iris:{version}"
            assert (ROOT / "model_servers" / version).is_dir()
    (load,) = checkout.calls("kind")
    assert load[:4] == ["load", "docker-image", "--name", "abctl"]
    assert set(load[4:]) == set(built)
    texts = (path.read_text() for path in (ROOT / "k8s").rglob("*.yaml"))
    named = {image for text in texts for image in re.findall(r"\babctl/[\w-]+:[\w.-]+", text)}
    assert named
    assert named <= set(built)


@pytest.mark.parametrize(("overlay", "what"), OVERLAYS.items())
def test_an_overlay_is_applied_shifted_and_rolled_back(checkout, overlay, what) -> None:
    done = checkout.run("test", overlay)
    assert done.returncode == 0, done.stderr
    applied = [option(call, "-k") for call in checkout.calls("kubectl") if call[0] == "apply"]
    assert applied[-1] == f"k8s/overlays/{overlay}"
    assert all((ROOT / each / "kustomization.yaml").is_file() for each in applied)
    assert [call[0] for call in checkout.calls("abctl")] == [
        "status",
        "shift",
        "rollback",
        "status",
    ]
    for call in checkout.calls("abctl"):
        assert call[1] == what
        assert parses(call), shlex.join(call)
    (tests,) = checkout.calls("pytest")
    assert all((ROOT / each).is_file() for each in tests if not each.startswith("-"))
    (environment,) = [env for name, _, env, _ in checkout.programs.calls if name == "pytest"]
    assert environment["ABCTL_TEST_KUBECONFIG"] == environment["KUBECONFIG"]


def parses(words):
    """Whether abctl takes these words."""
    import typer  # noqa: PLC0415 - only here

    group = typer.main.get_command(app)
    command = group.get_command(typer.Context(group), words[0])
    return command.make_context(words[0], list(words[1:]), resilient_parsing=False)


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (("up", "kind-envoy"), "kind create"),
        (("up", "kind-gateway"), "helm install"),
        (("up", "kind-kserve"), "go mod"),
        (("up", "kind-seldon"), "kubectl apply"),
        (("load",), "docker build"),
        (("load",), "kind load"),
        (("test", "kind-envoy"), "kubectl apply"),
        (("test", "kind-envoy"), "abctl shift"),
        (("test", "kind-envoy"), "pytest"),
    ],
)
def test_a_step_that_fails_ends_the_script(checkout, words, begins) -> None:
    pod, module = ("pod/iris-0", 0), ("module v0.20.0", 0)
    answers = {begins: ("no", 7), "kubectl -n models get pods": pod, "go list": module}
    checkout.add(*PROGRAMS, "abctl", "pytest", **answers)
    assert checkout.run(*words).returncode == 7
    name, arguments, _, _ = checkout.programs.calls[-1]
    assert shlex.join([name, *arguments]).startswith(begins)


def test_a_program_that_is_not_there_is_named_before_anything_is_made(checkout) -> None:
    (checkout.programs.folder / "helm").unlink()
    done = checkout.run("up", "kind-gateway")
    assert (done.returncode, done.stderr) == (1, "error: helm is not installed\n")
    assert checkout.programs.calls == []
    assert checkout.run("up", "kind-envoy").returncode == 0  # it needs none


def test_an_overlay_that_is_not_there_is_an_error_that_lists_those_that_are(checkout) -> None:
    done = checkout.run("up", "kind-nginx")
    assert done.returncode == 2
    assert f"there is: {' '.join(OVERLAYS)}" in done.stderr
    assert checkout.programs.calls == []
