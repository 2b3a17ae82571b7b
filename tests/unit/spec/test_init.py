"""The first file: it is right, it is commented, and it overwrites nothing."""

import io
from pathlib import Path

import pytest
import yaml

from abctl import plugins
from abctl.cli.main import run
from abctl.platforms import Capabilities, envoy, platform
from abctl.spec import load, schema

Screen = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_written_passes_lint(capsys: Screen) -> None:
    assert run(["init", "mine.yaml", "--name", "churn"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "wrote mine.yaml",
        "wrote experiment.schema.json",
        "next: edit it, then abctl lint mine.yaml",
    ]
    assert run(["lint", "mine.yaml"]) == 0
    experiment = load(Path("mine.yaml"))
    assert (experiment.name, experiment.platform) == ("churn", "envoy")
    assert experiment.assignment.salt == "churn-1"


def test_a_dash_is_stdout(capsys: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["init", "-", "--name", "churn"]) == 0
    out, err = capsys.readouterr()
    assert (err, list(Path().iterdir())) == ("", [])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(out.encode())))
    assert run(["lint", "-"]) == 0


def test_a_hint_names_no_file_that_reads_as_an_option(capsys: Screen) -> None:
    assert run(["init", "--", "--x.yaml"]) == 0
    assert capsys.readouterr().err.endswith("abctl lint ./--x.yaml\n")
    assert run(["lint", "./--x.yaml"]) == 0
    assert run(["render", "--", "--y.yaml"]) == 2
    assert capsys.readouterr().err.endswith("abctl init ./--y.yaml\n")


def test_editors_find_the_schema_next_to_it() -> None:
    run(["init", "mine.yaml"])
    first = Path("mine.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=experiment.schema.json"
    assert Path("experiment.schema.json").read_text(encoding="utf-8") == schema.text()


def test_a_file_that_exists_is_not_overwritten(capsys: Screen) -> None:
    Path("mine.yaml").write_text("precious", encoding="utf-8")
    assert run(["init", "mine.yaml"]) == 2
    assert capsys.readouterr().err == (
        "error: mine.yaml exists already\nhint: another name, or --force to overwrite it\n"
    )
    assert Path("mine.yaml").read_text(encoding="utf-8") == "precious"
    assert not Path("experiment.schema.json").exists()
    assert run(["init", "mine.yaml", "--force"]) == 0
    assert load(Path("mine.yaml")).name == "iris"


def test_a_schema_that_exists_is_left_alone() -> None:
    Path("experiment.schema.json").write_text("{}", encoding="utf-8")
    assert run(["init", "mine.yaml"]) == 0
    assert Path("experiment.schema.json").read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "No Name"], "error: --name 'No Name', must be at most 63 lower-case"),
        (["--name", "1iris"], "error: --name '1iris', must be at most 63 lower-case"),
        (["--name", "-iris"], "error: --name '-iris', must be at most 63 lower-case"),
        (["--name", "iris-"], "error: --name 'iris-', must be at most 63 lower-case"),
        (["--name", "a: b"], "error: --name 'a: b', must be at most 63 lower-case"),
        (["--platform", "linkerd"], "error: platforms: no 'linkerd'\nhint: known platforms: "),
    ],
)  # fmt: skip
def test_what_no_experiment_can_have_is_refused(
    arguments: list[str], message: str, capsys: Screen
) -> None:
    assert run(["init", "mine.yaml", *arguments]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not Path("mine.yaml").exists()


def test_a_folder_that_is_not_there_is_named(capsys: Screen) -> None:
    assert run(["init", "nowhere/mine.yaml"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: nowhere/mine.yaml cannot be written: No such file")


def test_a_platform_that_holds_no_user_gets_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    can = Capabilities(
        parts=100, sticky=False, override=False, cohorts=False, shadow=False, max_variants=2
    )
    monkeypatch.setattr(envoy, "CAPABILITIES", can)
    assert run(["init", "mine.yaml"]) == 0
    assert load(Path("mine.yaml")).assignment.unit == "request"


@pytest.mark.slow
@pytest.mark.parametrize("name", plugins.names("abctl.platforms"))
def test_the_first_file_can_be_rendered(name: str) -> None:
    assert run(["init", "mine.yaml", "--platform", name]) == 0
    experiment = load(Path("mine.yaml"))
    assert platform(name).objects(experiment)
    assert run(["lint", "mine.yaml"]) == 0


def test_the_remarks_are_right_when_they_are_switched_on() -> None:
    run(["init", "mine.yaml"])
    text = Path("mine.yaml").read_text(encoding="utf-8")
    for words in ("override: ", "cohorts: ", "  - {header: ", "source: "):
        assert f"# {words}" in text
        text = text.replace(f"# {words}", words)
    Path("mine.yaml").write_text(text, encoding="utf-8")
    experiment = load(Path("mine.yaml"))
    assert experiment.assignment.override == "x-ab-variant"
    assert len(experiment.assignment.cohorts) == 2
    assert experiment.source is not None
    assert yaml.safe_load(text)["metadata"]["name"] == "iris"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("irsi.yaml", "did you mean iris.yaml?"),
        ("iris.yml", "did you mean iris.yaml?"),
        ("churn.yaml", "abctl init churn.yaml"),
    ],
)
def test_the_nearest_file_beside_a_mistyped_one_is_offered(
    typed: str, hint: str, capsys: Screen
) -> None:
    assert run(["init", "iris.yaml"]) == 0
    assert run(["lint", typed]) == 2
    assert capsys.readouterr().err.endswith(f"{hint}\n")
