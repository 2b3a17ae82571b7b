"""The experiment file: what is read, and that every mistake is named with its place."""

import subprocess
import sys
from pathlib import Path

import pytest

from abctl.core.experiment import Cohort, Design, Experiment, Model, Shadow, Source
from abctl.core.split import Split
from abctl.errors import SpecError
from abctl.forms.plan import locked_plan
from abctl.platforms import Capabilities, envoy
from abctl.spec import load, parse
from abctl.stats.estimate import Delta

TEXT = (Path(__file__).parents[2] / "golden/experiment.yaml").read_text(encoding="utf-8")


def changed(*edits: tuple[str, str]) -> str:
    text = TEXT
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def refused(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse(text, "iris.yaml")
    return caught.value


@pytest.fixture
def iris() -> Experiment:
    return parse(TEXT, "iris.yaml")


def test_everything_in_the_file_arrives(iris: Experiment) -> None:
    assert (iris.name, iris.namespace, iris.platform) == ("iris", "models", "envoy")
    assert iris.assignment.unit == "user"
    assert (iris.assignment.salt, iris.assignment.buckets) == ("iris-2026-11", 32)
    assert iris.split == Split(("control", "treatment"), (7000, 3000))
    assert iris.control.model.image == "abctl/iris:v1"
    assert [variant.model.version for variant in iris.variants] == ["v1", "v2"]
    accuracy, errors, p95, revenue = iris.metrics
    assert accuracy.mde == Delta(0.02, relative=False)
    assert errors.margin == Delta(0.01, relative=True)
    assert p95.quantile == 0.95
    assert revenue.mde == Delta(0.5, relative=False)
    assert iris.source == Source("prometheus", {"url": "http://prometheus:9090"}, "abctl")
    assert iris.design == Design("sequential", 0.01, 0.9, 7 * 86_400, 14 * 86_400, 90)


def test_names_of_headers_have_no_case(iris: Experiment) -> None:
    assert iris.assignment.key == "x-user-id"


def test_what_may_be_left_out() -> None:
    text = changed(
        (", namespace: models", ""),
        (", buckets: 32", ""),
        ('  source: {prometheus: {url: "http://prometheus:9090"}, preset: abctl}\n', ""),
    )
    text = text[: text.index("  design:")]
    iris = parse(text, "iris.yaml")
    assert (iris.namespace, iris.assignment.buckets) == ("default", 64)
    assert iris.source is None
    assert iris.design == Design()


def test_scalars_are_the_text_that_was_written() -> None:
    text = changed(
        ("version: v1", "version: 1.10"), ("name: iris, version: v2", "name: no, version: 010")
    )
    control, treatment = parse(text, "iris.yaml").variants
    assert (control.model.version, treatment.model.name) == ("1.10", "no")
    assert treatment.model.version == "010"


@pytest.mark.parametrize("share", ["70", "70.0", "0.7"])
def test_a_share_without_a_unit_is_refused(share: str) -> None:
    with pytest.raises(
        SpecError, match=rf"variants\[0\].split in iris.yaml: share '{share}' has no"
    ):
        parse(changed(("70%", share)), "iris.yaml")


@pytest.mark.parametrize("share", ["'70%'", '"70 %"'])
def test_a_share_may_be_quoted(share: str) -> None:
    assert parse(changed(("70%", share)), "iris.yaml").split.shares_bp == (7000, 3000)


COHORTS = (
    "salt: iris-2026-11",
    """salt: s, override: X-Ab-Variant, cohorts: [
    {header: X-Cohort, value: beta, variant: treatment},
    {header: x-country, value: NO, split: 50/50},
    {header: x-country, value: SE, split: treatment=20%}]""",
)


def test_cohorts_and_override_are_read() -> None:
    rules = parse(changed(COHORTS), "iris.yaml").assignment
    names = ("control", "treatment")
    assert rules.override == "x-ab-variant"
    assert rules.cohorts == (
        Cohort("x-cohort", "beta", variant="treatment"),
        Cohort("x-country", "NO", split=Split(names, (5000, 5000))),
        Cohort("x-country", "SE", split=Split(names, (8000, 2000))),
    )


def test_a_shadow_is_read_and_is_no_variant() -> None:
    model = "{name: iris, version: v3, image: x:3}"
    shadow = f"  shadow: {{name: next, share: 10%, model: {model}}}\n  metrics:"
    found = parse(changed(("  metrics:", shadow)), "iris.yaml")
    assert found.shadow == Shadow("next", Model("iris", "v3", "x:3"), 10)
    assert "next" not in found.split.names
    assert [v.name for v in found.served] == [*(v.name for v in found.variants), "next"]


@pytest.mark.parametrize(
    ("name", "share", "message"),
    [
        ("control", "10%", "shadow.name in iris.yaml: 'control' is already a variant"),
        ("next", "0%", "shadow.share in iris.yaml: 0%, must be whole percents above 0"),
        ("next", "2.5%", "shadow.share in iris.yaml: 2.5%, must be whole percents above 0"),
    ],
)
def test_a_shadow_that_cannot_be_is_refused(name: str, share: str, message: str) -> None:
    model = "{name: iris, version: v3}"
    shadow = f"  shadow: {{name: {name}, share: {share}, model: {model}}}\n  metrics:"
    assert refused(changed(("  metrics:", shadow))).message == message


def test_requests_need_neither_key_nor_salt() -> None:
    rules = parse(
        changed(("unit: user, key: X-User-Id, salt: iris-2026-11", "unit: request")), "iris.yaml"
    ).assignment
    assert (rules.unit, rules.key, rules.salt) == ("request", "", "iris")


def test_all_problems_are_told_at_once() -> None:
    error = refused(changed(("unit: user", "unit: usr"), ("70%", "a lot"), ("mde: 2pp", "mde: 2")))
    assert error.message.splitlines() == [
        "3 problems in iris.yaml:",
        "  assignment.unit: 'usr', must be request, user or cohort",
        "  variants[0].split: share 'a lot', must be from 0% to 100%",
        "  metrics[0].mde: '2' could be points or percent, must say which",
    ]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("platform: envoy", "platform: linkerd"), "platform in iris.yaml: no platform 'linkerd'"),
        (("alpha: 0.01", "alpha: nan"), "design.alpha in iris.yaml: 'nan', must be "),
        (("platform: envoy", "platform: ../envoy"), "platform in iris.yaml: no platform "),
    ],
)
def test_what_no_list_can_hold_is_refused(edit: tuple[str, str], message: str) -> None:
    assert refused(changed(edit)).message.startswith(message)


CLUMSY = Capabilities(
    parts=100, sticky=False, override=False, cohorts=False, shadow=False, max_variants=2
)


@pytest.fixture
def clumsy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "CAPABILITIES", CLUMSY)


REQUESTS = ("unit: user, key: X-User-Id, salt: iris-2026-11", "unit: request")
THIRD = (
    "  metrics:",
    "    - {name: third, split: 0, model: {name: iris, version: v3}}\n  metrics:",
)


@pytest.mark.usefixtures("clumsy")
@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([], "assignment.unit in iris.yaml: user, but envoy draws every request anew"),
        ([REQUESTS, ("buckets: 32", "override: x-ab")], "assignment.override in iris.yaml: "),
        (
            [REQUESTS, ("buckets: 32", "cohorts: [{header: a, value: b, variant: control}]")],
            "assignment.cohorts in iris.yaml: envoy cannot tell cohorts apart",
        ),
        ([REQUESTS, THIRD], "variants in iris.yaml: 3 given, envoy supports 2"),
    ],
)
def test_what_the_platform_cannot_do_is_refused(edits: list[tuple[str, str]], message: str) -> None:
    assert refused(changed(*edits)).message.startswith(message)


@pytest.mark.usefixtures("clumsy")
def test_a_share_off_the_grain_of_the_platform_is_refused_with_the_nearest() -> None:
    error = refused(changed(REQUESTS, ("70%", "69.5%"), ("30%", "30.5%")))
    assert error.message.splitlines()[2] == (
        "  variants[1].split: treatment at 30.5%, envoy supports steps of 1%"
    )
    assert error.hint.startswith("write 70%; ")
    assert parse(changed(REQUESTS), "iris.yaml").split.shares_bp == (7000, 3000)


def test_a_treatment_over_its_region_is_refused() -> None:
    third = (THIRD[0], THIRD[1].replace("split: 0", "split: 60%"))
    error = refused(changed(("70%", "10%"), third))
    assert error.message.startswith("variants in iris.yaml: third at 60%: more than its region")


def test_aliases_cannot_make_it_endless() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
    )
    error = refused(bomb + changed(("mde: 2pp", "mde: *a9")))
    assert "metrics[0].mde: a list, must be text" in error.message


def test_names_that_are_too_long_together_are_refused() -> None:
    error = refused(changed(("name: iris, namespace", f"name: {'i' * 55}, namespace")))
    assert error.message.startswith("variants[1].name in iris.yaml: ")
    assert "must be at most 63" in error.message


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    error = refused(changed(("http://prometheus", "http://me:hunter2@prometheus")))
    assert "source.prometheus.url" in error.message
    assert "hunter2" not in error.message + error.hint


BROKEN = [
    ("", "iris.yaml is empty"),
    ("# only a remark\n", "iris.yaml is empty"),
    ("- a\n- b\n", "iris.yaml holds a list, must be a mapping"),
    ("just text", "iris.yaml holds text, must be a mapping"),
    ("a: 1\n---\nb: 2\n", "iris.yaml holds 2 documents, must be one"),
    ("a: [1, 2\nb: 3\n", "iris.yaml, line 2, column 2: expected ',' or ']'"),
    ("a: 1\n\tb: 2\n", "iris.yaml, line 2, column 1: "),
    ("a: 1\nb: 2\na: 3\n", "iris.yaml, line 3, column 1: 'a' is already in line 1"),
    ("a: {b: 1, c: {d: 1, d: 2}}\n", "iris.yaml, line 1, column 21: 'd' is already in line 1"),
    ("[1, 2]: 3\n", "iris.yaml, line 1, column 1: a key must be text"),
    ("a: *b\n", "iris.yaml, line 1, column 4: found undefined alias 'b'"),
    (
        "a: !!python/object/apply:os.system [ls]\n",
        "iris.yaml, line 1, column 4: could not determine",
    ),
    ("a: !!int x\n", "iris.yaml, line 1, column 4: 'x' does not match its tag"),
    ("a: !!int ''\n", "iris.yaml, line 1, column 4: '' does not match its tag"),
    ("a: !!bool x\n", "iris.yaml, line 1, column 4: 'x' does not match its tag"),
    ("a: !!timestamp x\n", "iris.yaml, line 1, column 4: 'x' does not match its tag"),
    ("a: !!timestamp 2026-99-99\n", "iris.yaml, line 1, column 4: '2026-99-99' does not match its"),
    ("a: \x07\n", "iris.yaml, character 4: '\\x07' cannot be in YAML"),
    ("[" * 5000, "iris.yaml is nested too deeply"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "message"), BROKEN, ids=lambda x: x[:20])
def test_what_is_no_yaml_mapping_is_named_with_its_place(text: str, message: str) -> None:
    assert refused(text).message.startswith(message)


def test_a_file_is_read_from_its_path(tmp_path: Path, iris: Experiment) -> None:
    path = tmp_path / "iris.yaml"
    path.write_text(TEXT, encoding="utf-8")
    assert load(path) == iris
    path.write_text("\ufeff" + TEXT, encoding="utf-8")
    assert load(path) == iris


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "iris.yaml"
    with pytest.raises(SpecError, match=r"iris\.yaml: no such file") as caught:
        load(path)
    assert caught.value.hint == f"write a first one: abctl init {path}"
    path.write_text(TEXT, encoding="utf-8")
    with pytest.raises(SpecError, match="iris: no such file") as caught:
        load(path.with_suffix(""))
    assert caught.value.hint == f"did you mean {path}?"
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(SpecError, match=r"iris\.yaml: byte 3 is not UTF-8"):
        load(path)
    with pytest.raises(SpecError, match="is a folder"):
        load(tmp_path)
    path.write_text(TEXT + "#" * 1_000_000, encoding="utf-8")
    with pytest.raises(SpecError, match=r"iris\.yaml: over 1,000,000 bytes"):
        load(path)
    with pytest.raises(SpecError, match="/dev/zero: a device, not a file"):
        load(Path("/dev/zero"))


def test_what_was_read_can_be_locked() -> None:
    """The ledger keeps it as JSON, whatever was left out of the file."""
    experiment = parse(TEXT, "iris.yaml")
    assert f'"name": "{experiment.metrics[0].name}"' in locked_plan(experiment)


@pytest.mark.process
def test_a_file_is_rendered_without_what_is_slow_to_import() -> None:
    heavy = {"kubernetes", "numpy", "pydantic", "rich", "urllib3"}
    program = f"""
import sys
from abctl.cli.main import run
assert run(["render", {str(Path(__file__).parents[2] / "golden/experiment.yaml")!r}]) == 0
sys.exit(",".join({heavy} & {{name.partition(".")[0] for name in sys.modules}}) or 0)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
