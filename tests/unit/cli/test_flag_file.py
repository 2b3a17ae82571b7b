"""A flag in a file from nothing to its end, by the commands that people type."""

import json
from collections import Counter
from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.core.experiment import Assignment
from abctl.core.split import Split
from abctl.platforms import flagset

EXPERIMENT = """\
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: iris}
spec:
  platform: flagset
  flagFile: flags.flagd.json
  assignment: {unit: user, key: x-user-id, salt: iris-1, hash: flagd}
  variants:
    - {name: control, split: 70%, model: {name: iris, version: v1}}
    - {name: t-1, split: 10%, model: {name: iris, version: v2}}
    - {name: t-2, split: 20%, model: {name: iris, version: v3}}
  metrics:
    - {name: errors, role: primary, kind: proportion, of: errors, direction: decrease, mde: 1pp}
  source: {prometheus: {url: "http://127.0.0.1:1"}}
"""
OTHERS = '{"flags": { "banner": {"state":"ENABLED","variants":{"a":1},"defaultVariant":"a"} }}\n'
FILE = Path("flags.flagd.json")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    Path("iris.yaml").write_text(EXPERIMENT)
    FILE.write_text(OTHERS)


@pytest.fixture
def answer(capsys):
    """Runs a command, and gives what it says as JSON."""

    def ask(*words):
        capsys.readouterr()
        assert run([*words, "-o", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return ask


def weights():
    (_, rule) = json.loads(FILE.read_text())["flags"]["iris"]["targeting"]["if"]
    return rule["fractional"][1:]


def test_from_nothing_to_its_end(answer):
    assert run(["lint", "iris.yaml"]) == 0
    assert run(["diff", "iris.yaml"]) == 3
    assert FILE.read_text() == OTHERS
    assert run(["apply", "iris.yaml", "--yes"]) == 0
    assert weights() == [["t-1", 1000], ["control", 4000], ["t-2", 2000], ["control", 3000]]
    assert run(["diff", "iris.yaml"]) == 0
    shift = ("shift", "iris.yaml", "t-1=30%", "--yes", "--why", "no harm")
    before = FILE.read_text()
    assert answer(*shift, "--dry-run=server")["changed"] is False
    assert FILE.read_text() == before
    assert answer(*shift)["to"] == {"control": 0.5, "t-1": 0.3, "t-2": 0.2}
    assert weights() == [["t-1", 3000], ["control", 2000], ["t-2", 2000], ["control", 3000]]

    FILE.write_text(FILE.read_text().replace('"t-2", 2000', '"t-2", 1000'))
    seen = answer("status", "iris.yaml")
    assert seen["drifted"] is True
    assert run(["rollback", "iris.yaml", "--yes", "--why", "a bug"]) == 0
    assert {name for name, weight in weights() if weight} == {"control"}
    assert run(["delete", "iris.yaml", "--yes"]) == 0
    assert FILE.read_text() == OTHERS


def test_assign_says_what_the_file_gives(answer):
    assert run(["apply", "iris.yaml", "--yes"]) == 0
    assert run(["shift", "iris.yaml", "t-2=50%", "--yes", "--why", "x"]) == 0
    users = [f"user-{i}" for i in range(200)]
    given = answer("assign", "iris.yaml", *users)
    split = Split(("control", "t-1", "t-2"), (4000, 1000, 5000))
    rules = Assignment("user", "x-user-id", "iris-1", hash="flagd")
    drawn = [flagset.CAPABILITIES.draw(rules, split, user).variant for user in users]
    assert [each["variant"] for each in given["items"]] == drawn
    assert Counter(drawn).keys() == {"control", "t-1", "t-2"}


def test_doctor_has_no_complaint_of_the_file(capsys):
    assert run(["apply", "iris.yaml", "--yes"]) == 0
    capsys.readouterr()
    assert run(["doctor", "iris.yaml", "-o", "json"]) == 3  # for want of a Prometheus
    found = {each["name"]: each["level"] for each in json.loads(capsys.readouterr().out)["checks"]}
    wrong = {name for name, level in found.items() if level == "error"}
    assert wrong == {"source", "answers"}
    assert {"world", "permissions", "objects", "split"} <= found.keys()


@pytest.mark.parametrize("text", ["", "{", '{"flags": []}'])
def test_a_file_that_is_none_is_one_error_with_its_place(text, capsys):
    FILE.write_text(text)
    for words in (["apply", "--yes"], ["diff"], ["delete", "--yes"]):
        assert run([words[0], "iris.yaml", *words[1:]]) == 5
        said = capsys.readouterr().err
        assert f"error: {FILE.absolute()}: " in said
        assert "hint: " in said
    assert FILE.read_text() == text
