"""`abctl assign`: every id, from everywhere, in every form."""

import contextlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import scipy.stats
import yaml

from abctl.cli.main import run
from abctl.cluster.directory import DirectoryClient
from abctl.core.assignment import bucket, point
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry
from abctl.core.split import Split
from abctl.forms.ledger import ledger_of, new_object, with_ledger
from abctl.session import local_world
from abctl.session.assign import assign, count
from abctl.spec import load

EXPERIMENT = (Path(__file__).parents[2] / "golden/experiment.yaml").read_text(encoding="utf-8")
SALT = "iris-2026-11"
PROGRAM = [sys.executable, "-c", "from abctl.cli.main import main; main()", "assign", "iris.yaml"]
Screen = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
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


AT = 1_800_000_000.0
EVEN, MORE = (Split(("control", "treatment"), shares) for shares in ((5000, 5000), (2000, 8000)))


def begin(*later: Entry) -> Experiment:
    """Starts it in its usual folder, with a split that is not in the file."""
    experiment = load(Path("iris.yaml"))
    obj = new_object(experiment, Entry(AT - 9, "me", None, experiment.split, "", "intent"))
    for entry in later:
        obj = with_ledger(obj, ledger_of(obj).with_entry(entry))
    DirectoryClient(Path(".abctl/iris") / local_world.WORLD).create(obj)
    Path(".abctl/iris/state.json").touch()
    return experiment


def basis(capsys: Screen, *options: str) -> tuple[object, object, str]:
    """Who says the split, its share of the treatment, and that in words, in every form."""
    assert run(["assign", "iris.yaml", "alice", *options]) == 0
    said = capsys.readouterr().err.strip()
    for form in (["-o", "json"], ["-o", "yaml"], ["--count", "-o", "json"]):
        assert run(["assign", "iris.yaml", "alice", *options, *form]) == 0
        out, err = capsys.readouterr()
        found = yaml.safe_load(out)
        assert (err, found["why"]) == ("", said)
    return found["splitOf"], found["split"]["treatment"], said


def test_the_ledgers_split_goes_before_that_of_the_file(capsys: Screen) -> None:
    of, share, said = basis(capsys)
    assert (of, share) == ("file", 0.3)
    assert said.endswith("30%): nothing has been applied in the local stack in .abctl/iris")
    first = Entry(AT, "me", None, EVEN, "", "applied")
    begin(first)
    of, share, said = basis(capsys)
    assert (of, share) == ("ledger", 0.5)
    when = "since 2027-01-15T08:00:00Z (control 50%, treatment 50%)"
    assert said == f"by the ledger's split {when} in the local stack in .abctl/iris"
    (noe,) = items(capsys, "Noé")
    assert noe["why"] == f"point {point(SALT, 'Noé')} is in 5000..9999 of treatment"
    assert basis(capsys, "--split", "20/80")[:2] == ("option", 0.8)


def test_what_is_open_or_of_others_is_said(capsys: Screen) -> None:
    begin()
    of, share, said = basis(capsys)
    assert (of, share, "it is not known to be in effect yet" in said) == ("file", 0.3, True)
    shutil.rmtree(".abctl")
    done, intent = (Entry(AT, "me", None, EVEN, "", p) for p in ("applied", "intent"))
    begin(done, replace(intent, before=EVEN, after=MORE))
    of, share, said = basis(capsys)
    assert (of, share) == ("ledger", 0.5)
    assert "a shift to control 20%, treatment 80% is not finished" in said
    text = Path("iris.yaml").read_text()
    Path("iris.yaml").write_text(text.replace(SALT, "another"))
    assert "warning: assignment of the file differs" in basis(capsys)[2]
    Path("iris.yaml").write_text(
        text.replace("name: treatment", "name: next").replace("variant: treatment", "variant: next")
    )
    assert run(["assign", "iris.yaml", "alice", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["splitOf"] == "file"
    assert "is of other variants, control and treatment" in found["why"]


def test_a_cluster_that_does_not_answer_is_no_end_unless_it_was_named(
    capsys: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "current-context": "away",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "away", "context": {"cluster": "c"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    of, share, said = basis(capsys)
    assert (of, share) == ("file", 0.3)
    assert "the ledger cannot be read: context away: no answer from http" in said
    assert run(["assign", "iris.yaml", "alice", "--context", "away"]) == 5
    assert "no answer from http" in capsys.readouterr().err
    assert basis(capsys, "--context", "away", "--split", "50/50")[0] == "option"


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


@pytest.mark.process
def test_ids_come_from_stdin_one_a_line() -> None:
    done = piped("alice\r\nNoé\n\n bob".encode(), "before", "-", "after", "-o", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    found = json.loads(done.stdout)["items"]
    assert [item["id"] for item in found] == ["before", "alice", "Noé", "", " bob", "after"]
    assert found[4]["point"] == point(SALT, "bob"), "HTTP takes blanks off a header"


@pytest.mark.process
@pytest.mark.parametrize("output", ["json", "yaml", "table"])
def test_no_ids_are_an_empty_answer(output: str) -> None:
    done = piped(b"", "-", "-o", output)
    assert done.returncode == 0
    if output == "table":
        assert done.stdout == b""
        assert done.stderr.startswith(b"by the file's starting split (control 70%, treatment 30%)")
    else:
        assert done.stderr == b""
        assert not yaml.safe_load(done.stdout)["items"]


@pytest.mark.process
def test_a_line_that_is_not_utf8_is_named() -> None:
    done = piped(b"alice\n\xff\n", "-")
    assert done.returncode == 2
    error, hint = done.stderr.decode().splitlines()
    assert error == r"error: stdin, line 2: b'\xff\n' is not UTF-8"
    assert "--encoding" in hint


@pytest.mark.process
def test_a_line_without_an_end_is_not_waited_for() -> None:
    with Path("/dev/zero").open("rb") as endless:
        done = subprocess.run(
            [*PROGRAM, "-"], stdin=endless, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error == "error: stdin, line 1: over 65,536 bytes"
    assert hint.startswith("hint: ")


@pytest.mark.process
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


@pytest.mark.process
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
