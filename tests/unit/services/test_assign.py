"""`abctl assign`: every id, from everywhere, in every form."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import scipy.stats
import yaml

from abctl.cli.main import run
from abctl.core.assignment import bucket, point
from abctl.core.split import Split
from abctl.services.assign import assign, count
from abctl.services.load import load

EXPERIMENT = (Path(__file__).parents[2] / "golden/experiment.yaml").read_text(encoding="utf-8")
SALT = "iris-2026-11"
PROGRAM = [sys.executable, "-c", "from abctl.cli.main import main; main()", "assign", "iris.yaml"]
Screen = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    beta = "cohorts: [{header: x-cohort, value: beta, variant: treatment}]"
    text = EXPERIMENT.replace("buckets: 32", f"buckets: 32, override: x-force, {beta}")
    Path("iris.yaml").write_text(text, encoding="utf-8")


def items(capsys: Screen, *arguments: str) -> list[dict[str, object]]:
    assert run(["assign", "iris.yaml", *arguments, "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["apiVersion"], document["kind"]) == ("abctl.dev/v1", "Assignments")
    found: list[dict[str, object]] = document["items"]
    return found


def test_a_table_says_who_where_and_why(capsys: Screen) -> None:
    assert run(["assign", "iris.yaml", "alice", "Noé"]) == 0
    alice, noe = point(SALT, "alice"), point(SALT, "Noé")
    assert (alice, noe) == (5668, 8978)
    assert capsys.readouterr().out.splitlines() == [
        "ID     VARIANT    POINT  WHY",
        "alice  control    5668   point 5668 is in 0..6999 of control",
        "Noé    treatment  8978   point 8978 is in 7000..9999 of treatment",
    ]


def test_wide_says_more(capsys: Screen) -> None:
    assert run(["assign", "iris.yaml", "alice", "-o", "wide"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "VARIANT", "POINT", "BUCKET", "RANDOMIZED", "WHY"]
    assert row.split()[3] == str(bucket(SALT, "alice", 32))


def test_machines_get_the_same_in_json_and_yaml(capsys: Screen) -> None:
    found = items(capsys, "alice", "Noé")
    assert found[0] == {
        "id": "alice",
        "variant": "control",
        "point": point(SALT, "alice"),
        "bucket": bucket(SALT, "alice", 32),
        "randomized": True,
        "why": f"point {point(SALT, 'alice')} is in 0..6999 of control",
    }
    assert run(["assign", "iris.yaml", "alice", "Noé", "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["items"] == found


def test_headers_go_with_every_request(capsys: Screen) -> None:
    (beta,) = items(capsys, "alice", "-H", "X-Cohort: beta")
    assert (beta["variant"], beta["randomized"], beta["point"]) == ("treatment", False, None)
    (forced,) = items(capsys, "alice", "-H", "x-cohort:beta", "-H", "x-force:control")
    assert forced["why"] == "forced by x-force: control"


def test_an_empty_id_is_not_in_the_experiment(capsys: Screen) -> None:
    (nobody,) = items(capsys, "")
    assert (nobody["variant"], nobody["randomized"], nobody["bucket"]) == ("control", False, None)


def test_another_split_can_be_tried(capsys: Screen) -> None:
    (alice,) = items(capsys, "alice", "--split", "treatment=100%")
    assert alice["variant"] == "treatment"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["alice", "--split", "50/40"],
            "error: split control 50%, treatment 40% makes the sum 90%",
        ),
        (["alice", "--split", ""], "error: no split given"),
        (["alice", "-H", "x-cohort"], "error: header 'x-cohort', must be name:value"),
        (["\udcff"], "error: id '\\udcff' is not UTF-8"),
        ([], "error: Missing argument"),
    ],
)
def test_wrong_usage_is_one_clear_error(arguments: list[str], message: str, capsys: Screen) -> None:
    assert run(["assign", "iris.yaml", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)


def piped(text: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PROGRAM, *arguments], input=text, capture_output=True, check=False)


def test_ids_come_from_stdin_one_a_line() -> None:
    done = piped("alice\r\nNoé\n\n bob".encode(), "before", "-", "after", "-o", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    found = json.loads(done.stdout)["items"]
    assert [item["id"] for item in found] == ["before", "alice", "Noé", "", " bob", "after"]
    assert found[4]["point"] == point(SALT, "bob"), "HTTP takes blanks off a header"


@pytest.mark.parametrize("output", ["json", "yaml", "table"])
def test_no_ids_are_an_empty_answer(output: str) -> None:
    done = piped(b"", "-", "-o", output)
    assert (done.returncode, done.stderr) == (0, b"")
    if output == "table":
        assert done.stdout == b""
    else:
        assert not yaml.safe_load(done.stdout)["items"]


def test_a_line_that_is_not_utf8_is_named() -> None:
    done = piped(b"alice\n\xff\n", "-")
    assert done.returncode == 2
    assert done.stderr == b"error: stdin, line 2: b'\\xff\\n' is not UTF-8\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([*PROGRAM, "-"], stdin=pipe, stdout=pipe, stderr=pipe) as program:
        assert program.stdin
        assert program.stdout
        assert program.stderr
        program.stdin.write(b"alice\n" * 1000)
        program.stdin.flush()
        assert program.stdout.readline().startswith(b"ID")
        program.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # it has left as well
            program.stdin.write(b"alice\n" * 100_000)
        with contextlib.suppress(BrokenPipeError):
            program.stdin.close()
        assert (program.wait(60), program.stderr.read()) == (0, b"")


def test_a_count_is_tested_against_the_split(capsys: Screen) -> None:
    ids = "".join(f"user-{i}\n" for i in range(10_000)).encode()
    counted = json.loads(piped(ids, "-", "--count", "-o", "json").stdout)
    experiment = load(Path("iris.yaml"))
    each = assign(experiment, experiment.split, (f"user-{i}" for i in range(10_000)), {})
    treated = sum(who.variant == "treatment" for _, who in each)
    assert [row["units"] for row in counted["variants"]] == [10_000 - treated, treated]
    # Pearson's statistic by hand, one degree of freedom.
    chi_squared = (treated - 3000) ** 2 / 3000 + (treated - 3000) ** 2 / 7000
    assert counted["p"] == pytest.approx(scipy.stats.chi2.sf(chi_squared, 1))
    assert run(["assign", "iris.yaml", "alice", "", "--count"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "VARIANT    SPLIT  UNITS    SHARE  OUTSIDE",
        "control      70%      1  100.00%        1",
        "treatment    30%      0    0.00%        0",
        "too few to test the split",
    ]


def test_ids_that_do_not_fit_the_split_are_found_out() -> None:
    experiment = load(Path("iris.yaml"))
    users = (f"user-{i}" for i in range(10_000))
    census = count(
        Split(experiment.split.names, (6000, 4000)), assign(experiment, experiment.split, users, {})
    )
    assert census.p is not None
    assert census.p < 1e-9


def test_requests_drawn_one_by_one_have_no_variant(capsys: Screen) -> None:
    text = EXPERIMENT.replace("unit: user, key: X-User-Id, salt: iris-2026-11", "unit: request")
    Path("iris.yaml").write_text(text, encoding="utf-8")
    assert run(["assign", "iris.yaml", "alice"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "alice  -        -      each request is drawn by itself: control 70%,",
        "                       treatment 30%",
    ]
    assert run(["assign", "iris.yaml", "alice", "--count"]) == 2
    assert capsys.readouterr().err.startswith("error: each request is drawn by itself")
