"""An object that was there before abctl: shifted by KIND/NAME, judged with a file, kept."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from abctl.analysis.judge import judge
from abctl.cli.main import run
from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Object, Ref
from abctl.core.split import Split
from abctl.errors import ConflictError
from abctl.evidence.evidence import Evidence
from abctl.session import adopt, ledger
from abctl.session.analyze import telemetry
from abctl.session.apply import wanted
from abctl.session.delete import delete
from abctl.session.session import Session
from abctl.session.shift import shift
from abctl.spec import parse
from abctl.spec.lint import lint

PAGE = Path(__file__).parents[3] / "docs/platforms.md"
SECTION = PAGE.read_text().partition("## An InferenceService that exists already")[2]
[TEXT] = re.findall(r"^```yaml\n(.*?)^```", SECTION.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
FILE = parse(TEXT, "existing.yaml")
OBJECT = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {
        "name": "iris",
        "namespace": "models",
        "annotations": {"serving.kserve.io/deploymentMode": "Knative"},
    },
    "spec": {"predictor": {"canaryTrafficPercent": 0, "model": {"storageUri": "s3://elsewhere"}}},
}
STATUS = {
    "components": {
        "predictor": {
            "latestReadyRevision": "iris-2",
            "latestCreatedRevision": "iris-2",
            "latestRolledoutRevision": "iris-1",
            "traffic": [{"latestRevision": True, "percent": 10}, {"percent": 90}],
        }
    },
    "conditions": [{"type": "PredictorRouteReady", "status": "True"}],
}


class World(DirectoryClient):
    """With what KServe reports once the shift is in effect; a directory keeps no status."""

    def get(self, ref: Ref) -> Object:
        found = super().get(ref)
        return {**found, "status": STATUS} if ref.kind == "InferenceService" else found


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Of the file, after a shift of the object alone."""
    world = World(tmp_path)
    world.create(OBJECT)
    carrier, made_up, found = adopt.experiment(world, "isvc/iris", "models")
    existing = Session(
        adopt.Adopting(world, made_up, found), carrier, made_up, adopted=True, timeout_seconds=0.0
    )
    shift(existing, Split(("control", "treatment"), (9000, 1000)), why="a try")
    return Session(world, carrier, FILE, word="existing.yaml")


def test_its_ledger_serves_a_file_that_says_what_to_measure(session: Session) -> None:
    entries = ledger.read(session.world, FILE).ledger
    assert str(entries.desired) == str(FILE.split)
    assert entries.changed_since(FILE) == ()
    asked = telemetry(FILE, session.world)
    assert "iris-1" in asked.requests("control")
    assert "iris-2" in asked.requests("treatment")
    now, bare = entries.entries[-1].at, replace(FILE, source=None)
    found = judge(Evidence(bare, entries, asked, "here", now, None, 0.0))
    assert [reason.code for reason in found.verdict.reasons if reason.code == "planChanged"] == []
    assert found.verdict.kind == "continue", found.verdict.reasons
    assert "planNotLocked" in [note.code for note in found.notes]


def test_what_abctl_did_not_create_is_neither_replaced_nor_deleted(session: Session) -> None:
    before = session.world.get(session.target)
    for does in (wanted, delete):
        with pytest.raises(ConflictError):
            does(session)
    assert session.world.get(session.target) == before


@pytest.mark.parametrize("words", [["analyze"], ["why"], ["plan", "--live"]])
def test_an_object_alone_is_told_at_once_what_it_takes(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert run([*words, "isvc/iris"]) == 2
    assert "--platform kserve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "source", "warned"),
    [
        ('image: "registry/iris:v1"', "", True),
        ('image: "registry/iris:v1"', "preset: abctl, ", False),
        ('image: "registry/abctl/iris:v1"', "", False),
        ('uri: "s3://models/iris", format: sklearn', "", False),
        ('uri: "s3://models/iris", format: sklearn', "preset: abctl, ", True),
    ],
)
def test_lint_asks_for_the_runtime_that_the_metrics_need(
    tmp_path: Path, model: str, source: str, *, warned: bool
) -> None:
    text = re.sub(r'uri: "[^"]*", format: sklearn', model, TEXT)
    text = text.replace("source: {", f"source: {{{source}")
    (path := tmp_path / "iris.yaml").write_text(text)
    found = lint(path)
    assert found.error is None
    assert any("runtime" in each for each in found.warnings) == warned
