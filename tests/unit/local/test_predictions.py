"""Logs of predictions are read to their end, across the files that a server begins."""

from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.core.experiment import PredictionLog
from abctl.errors import NotFoundError, SpecError
from abctl.local import predictions
from abctl.spec import parse
from abctl.spec.render import render

TEXT = (Path(__file__).parents[3] / "k8s" / "experiments" / "envoy.yaml").read_text("utf-8")


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    for variant in ("control", "treatment"):
        folder = tmp_path / predictions.FOLDER / variant
        folder.mkdir(parents=True)
        (folder / "predictions-1.jsonl").write_text(f'"{variant} 1"\n"{variant} 2"\n')
        (folder / "predictions.jsonl").write_text(f'"{variant} 3"\n"half')
    return tmp_path


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_the_last_lines_of_each_variant(state_dir: Path, count: int) -> None:
    got = list(predictions.lines(state_dir, None, count, None, bool))
    numbers = [1, 2, 3][3 - min(count, 3) :]
    variants = ("control", "treatment")
    assert got == [(v, f'"{v} {i}"') for v in variants for i in numbers]


def test_following_goes_on_in_the_next_file(state_dir: Path) -> None:
    folder = state_dir / predictions.FOLDER / "treatment"
    file = folder / "predictions.jsonl"

    def more() -> None:
        with file.open("a") as log:
            log.write(' a line"\n"last of it"\n')

    def next_file() -> None:
        with file.open("a") as log:
            log.write('"late"\n')
        file.rename(folder / "predictions-2.jsonl")
        file.write_text('"new"\n')

    steps = iter([more, next_file, lambda: None])
    running = iter([True, True, True, False])
    got = predictions.lines(
        state_dir, "treatment", 0, lambda _: next(steps)(), lambda: next(running)
    )
    assert [line for _, line in got] == ['"half a line"', '"last of it"', '"late"', '"new"']


def test_no_log_and_no_such_variant(state_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as error:
        list(predictions.lines(tmp_path / "nowhere", None, 5, None, bool))
    assert "--log-predictions" in error.value.hint
    with pytest.raises(NotFoundError) as error:
        list(predictions.lines(state_dir, "no-such", 5, None, bool))
    assert error.value.hint == "known: control, treatment"


def test_what_a_server_is_told() -> None:
    asked = PredictionLog(1000, ("rows", "age"), "plain", 300)
    assert predictions.environment(None, "control", Path("s")) == {}
    assert predictions.environment(asked, "control", Path("s")) == {
        "AB_LOG": "s/predictions/control",
        "AB_LOG_SHARE": "0.1",
        "AB_LOG_INPUTS": "rows,age",
        "AB_LOG_UNITS": "plain",
        "AB_LOG_MAX_BYTES": "300000000",
    }


def test_a_file_asks_for_it_on_this_machine_and_in_a_cluster() -> None:
    asked = parse(TEXT + "  log: {share: 5%, inputs: [age], megabytes: 10}\n", "iris.yaml")
    assert asked.log == PredictionLog(500, ("age",), "hash", 10)
    servers = [o for o in render(asked) if "abctl.dev/variant" in o["metadata"]["labels"]]
    pods = [o["spec"]["template"]["spec"] for o in servers if o["kind"] == "Deployment"]
    assert pods
    for pod in pods:
        (server,) = pod["containers"]
        told = {each["name"]: each["value"] for each in server["env"]}
        assert {name: told[name] for name in told if name.startswith("AB_LOG")} == {
            "AB_LOG": "/var/log/predictions",
            "AB_LOG_SHARE": "0.05",
            "AB_LOG_INPUTS": "age",
            "AB_LOG_UNITS": "hash",
            "AB_LOG_MAX_BYTES": "10000000",
        }
        assert {"name": "predictions", "mountPath": told["AB_LOG"]} in server["volumeMounts"]
        assert {"name": "predictions", "emptyDir": {"sizeLimit": "20M"}} in pod["volumes"]


@pytest.mark.parametrize(
    ("log", "place"), [("{share: 0.1}", "log.share"), ("{units: name}", "log.units")]
)
def test_a_log_that_cannot_be_is_told(log: str, place: str) -> None:
    with pytest.raises(SpecError, match=place):
        parse(f"{TEXT}  log: {log}\n", "iris.yaml")


def test_the_command_shows_it_and_says_how_it_is_read_in_a_cluster(
    state_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (state_dir / ".lock").touch()
    assert run(["logs", "--state", str(state_dir), "--variant", "control", "--tail", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == ['"control 3"']
    Path("iris.yaml").write_text(TEXT + "  log: {share: 5%}\n")
    assert run(["logs", "iris.yaml"]) == 2
    said = capsys.readouterr().err
    assert "kubectl get pods -n models -l abctl.dev/experiment=iris,abctl.dev/variant" in said
    assert "tail -n 20 /var/log/predictions/predictions.jsonl" in said
    Path("iris.yaml").write_text(TEXT + "  log: {to: stdout}\n")
    assert run(["logs", "-f", "iris.yaml", "--variant", "treatment", "--tail", "3"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "kubectl logs -n models -l abctl.dev/experiment=iris,abctl.dev/variant=treatment" in said
    assert "--tail=3 -f" in said


def test_in_a_cluster_it_may_go_to_the_standard_output() -> None:
    for obj in render(parse(TEXT + "  log: {to: stdout}\n", "iris.yaml")):
        if obj["kind"] == "Deployment" and "abctl.dev/variant" in obj["metadata"]["labels"]:
            pod = obj["spec"]["template"]["spec"]
            (server,) = pod["containers"]
            assert {"name": "AB_LOG", "value": "-"} in server["env"]
            named = [each["name"] for each in (*server["volumeMounts"], *pod["volumes"])]
            assert "predictions" not in named
