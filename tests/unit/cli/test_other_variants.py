"""File, ledger and object are not of the same variants: each command says so, none crashes."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from abctl.cli.main import run
from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Ref
from abctl.core.ledger import Entry
from abctl.forms.ledger import new_object
from abctl.local import stack
from abctl.local.identity import Identity
from abctl.local.stack import Process, Stack
from abctl.platforms import platform
from abctl.session import local_world
from abctl.spec import load

OLD, NEXT, LAST = ("v1", "v2"), ("v2", "v3"), ("v3", "v2")
COMBINATIONS = [c for c in product((OLD, NEXT, LAST), repeat=3) if len(set(c)) > 1]
COMMANDS = {
    "status": (["status", "iris.yaml", "-o", "wide"], {0}),
    "assign": (["assign", "iris.yaml", "alice"], {0}),
    "analyze": (["analyze", "iris.yaml", "--exit-code"], {12}),
    "doctor": (["doctor", "iris.yaml"], {3}),
    "shift": (["shift", "iris.yaml", "--to", "50/50", "--dry-run=client"], {0}),
    "rollback": (["rollback", "iris.yaml", "--yes", "--timeout", "0"], {0, 5}),
}
FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {{name: iris}}
spec:
  platform: envoy
  assignment: {{unit: user, key: x-user-id, salt: s, buckets: 16}}
  variants:
    - {{name: {}, split: 50%, model: {{name: iris, version: v1}}}}
    - {{name: {}, split: 50%, model: {{name: iris, version: v2}}}}
  source: {{scrape: {{file: pages.jsonl}}}}
  metrics:
    - {{name: errors, role: primary, kind: proportion, of: errors, direction: decrease}}
"""
PAGE = '{{"at": {}, "job": "scrape", "instance": "h:1", "samples": ["ab_requests_total{}"]}}\n'
STACK = Stack(
    experiment="iris",
    state_dir=Path("state"),
    started=0.0,
    entrance_url="http://127.0.0.1:1",
    envoy_admin_url="http://127.0.0.1:1",
    prometheus_url=None,
    servers=(),
    processes=(Process("supervisor", Identity.of(1), "ready", Path("log")),),
)
Arrange = Callable[[tuple[str, str], tuple[str, str], tuple[str, str]], DirectoryClient]


@pytest.fixture
def arrange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arrange:
    """A file, a ledger and an object, each of its own variants; something was counted."""
    monkeypatch.chdir(tmp_path)

    def made(
        file: tuple[str, str], known: tuple[str, str], there: tuple[str, str]
    ) -> DirectoryClient:
        client, experiments = DirectoryClient(Path("state") / local_world.WORLD), []
        for names in (known, there, file):
            Path("iris.yaml").write_text(FILE.format(*names))
            experiments.append(load(Path("iris.yaml")))
        first = Entry(1000.0, "me", None, experiments[0].split, "start", "applied")
        client.create(new_object(experiments[0], first))
        carrier = platform("envoy")
        target = carrier.target(experiments[1])
        client.create(next(o for o in carrier.objects(experiments[1]) if Ref.of(o) == target))
        series = '{variant=\\"v2\\",bucket=\\"0\\",code=\\"2xx\\"} '
        Path("pages.jsonl").write_text(
            "".join(PAGE.format(at, f"{series}{at}") for at in range(1000, 1200, 5))
        )
        return client

    return made


@pytest.mark.slow
@pytest.mark.parametrize(("file", "known", "there"), COMBINATIONS)
def test_each_command_says_so_and_what_to_do(
    arrange: Arrange,
    capsys: pytest.CaptureFixture[str],
    file: tuple[str, str],
    known: tuple[str, str],
    there: tuple[str, str],
) -> None:
    arrange(file, known, there)
    for name, (words, codes) in COMMANDS.items():
        if name in ("analyze", "assign") and file == known:
            continue  # they do not look at the object
        code = run([*words, "--state", "state"])
        out, err = capsys.readouterr()
        assert code in codes, f"{name}: {out}{err}"
        said = " ".join(f"{out} {err}".split())  # lines end where the screen does
        if name == "assign":
            assert f"is of other variants, {known[0]} and {known[1]}" in said
            continue
        assert f"the ledger is of {known[0]} and {known[1]}" in said, f"{name}: {said}"
        if name != "analyze":
            assert f"configmap/iris-envoy is of {there[0]} and {there[1]}" in said, (
                f"{name}: {said}"
            )
            entered = "kubectl delete configmap abctl-iris" in said
            assert entered == (known != there)
    assert "hint: " in err


def test_a_rollback_goes_through_and_enters_the_new_variants(
    arrange: Arrange, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(_: str, name: str) -> dict[str, Any]:
        routes = json.loads(Path(f"state/world/mounts/{name}-envoy/routes.json").read_text())
        return {"routes": routes["resources"][0]}

    arrange(NEXT, OLD, NEXT)
    # As if a stack ran there: its Envoy has what is asked for, its servers are ready.
    monkeypatch.setattr(local_world, "envoy_status", status)
    monkeypatch.setattr(local_world, "ready", lambda _state, _variant: True)
    monkeypatch.setattr(stack, "read", lambda _: STACK)
    words = ["iris.yaml", "--state", "state", "-o", "json"]
    assert run(["rollback", "--yes", *words]) == 0
    out, err = capsys.readouterr()
    assert "the ledger is of v1 and v2, configmap/iris-envoy is of v2 and v3" in err
    assert json.loads(out)["to"] == {"v2": 1.0, "v3": 0.0}
    assert run(["status", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["desired"] == found["asked"] == found["programmed"] == {"v2": 1.0, "v3": 0.0}
    assert (found["otherVariants"], found["drifted"]) == (None, False)
