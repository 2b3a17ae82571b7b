"""Alerts of experiments fire when they should and not else, by Prometheus' own evaluation."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from api_server import path_from

from abctl.controller.metrics import page
from abctl.controller.seen import Seen

pytestmark = pytest.mark.process
COMPONENT = Path(__file__).parents[2] / "k8s" / "components" / "controller-alerts"
RULES = yaml.safe_load((COMPONENT / "rules.yaml").read_text())["spec"]
OF = 'namespace="models",experiment="iris"'
MINUTES = 60
# A look each minute by a controller that leads, of an experiment that goes on.
SOUND = {
    'abctl_leader{namespace="models"}': "1x60",
    f"abctl_experiment_last_look_timestamp_seconds{{{OF}}}": "0+60x60",
    f'abctl_experiment_verdict{{{OF},verdict="continue"}}': "1x60",
    f'abctl_experiment_condition{{{OF},type="Ready",status="True"}}': "1x60",
    f'abctl_experiment_condition{{{OF},type="Trusted",status="True"}}': "1x60",
}
OVER = {f'abctl_experiment_condition{{{OF},type="Completed",status="True"}}': "1x60"}


def condition(kind: str, status: str) -> dict[str, str]:
    return {f'abctl_experiment_condition{{{OF},type="{kind}",status="{status}"}}': "1x60"}


def reason(code: str) -> dict[str, str]:
    return {f'abctl_experiment_reason{{{OF},code="{code}"}}': "1x60"}


INVALID = {f'abctl_experiment_verdict{{{OF},verdict="invalid"}}': "1x60"}
UNSEEN = {f"abctl_experiment_last_look_timestamp_seconds{{{OF}}}": "0x60"}
FIRES = [
    ("sound", {}, set()),
    ("harm", reason("harmProven"), {"AbctlHarmProven"}),
    ("a dead treatment", reason("noGoodAnswer"), {"AbctlHarmProven"}),
    ("nothing proven yet", reason("notProven"), set()),
    ("invalid", INVALID, {"AbctlEvidenceInvalid"}),
    ("invalid, and over", INVALID | OVER, set()),
    ("blind", condition("Trusted", "Unknown"), {"AbctlBlind"}),
    ("blind, and over", condition("Trusted", "Unknown") | OVER, set()),
    ("fought over", condition("Conflicted", "True"), {"AbctlConflicted"}),
    ("stuck", condition("Ready", "False"), {"AbctlStuck"}),
    ("nobody looks", UNSEEN, {"AbctlNobodyLooks"}),
    ("nobody looks, and over", UNSEEN | OVER, set()),
    ("nobody leads", {'abctl_leader{namespace="models"}': "0x60"}, {"AbctlNobodyLooks"}),
    ("no controller", {'abctl_leader{namespace="models"}': "_x60"}, {"AbctlNobodyLooks"}),
]


@pytest.fixture(scope="module")
def promtool() -> Path:
    return Path(path_from("debian", "prometheus")).with_name("promtool")


def checked(promtool: Path, folder: Path, tests: list[dict]) -> None:
    (folder / "rules.yaml").write_text(yaml.safe_dump(RULES))
    told = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yaml").write_text(yaml.safe_dump(told))
    for words in (("check", "rules", "rules.yaml"), ("test", "rules", "tests.yaml")):
        done = subprocess.run(
            [promtool, *words], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("told", "wanted"), [f[1:] for f in FIRES], ids=[f[0] for f in FIRES])
def test_it_fires_when_it_should(promtool, tmp_path, told, wanted) -> None:
    series = [{"series": name, "values": values} for name, values in (SOUND | told).items()]
    (group,) = RULES["groups"]
    lines = []
    for rule in group["rules"]:
        # ALERTS has a series for each alert that fires, whatever its texts are.
        query = f'count(ALERTS{{alertname="{rule["alert"]}",alertstate="firing"}})'
        firing = [{"labels": "{}", "value": 1}] if rule["alert"] in wanted else []
        lines.append({"expr": query, "eval_time": f"{MINUTES}m", "exp_samples": firing})
    checked(
        promtool, tmp_path, [{"interval": "1m", "input_series": series, "promql_expr_test": lines}]
    )


def test_every_metric_of_a_rule_is_one_that_the_controller_has() -> None:
    known = set(re.findall(r"^# HELP (\w+)", page(Seen(), dict).decode(), re.MULTILINE))
    asked = {
        name
        for rule in RULES["groups"][0]["rules"]
        for name in re.findall(r"\babctl_\w+", rule["expr"])
    }
    assert len(asked) >= 5
    assert asked <= known


def test_every_alert_says_what_to_do() -> None:
    for rule in RULES["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert re.search(r"\b(abctl|kubectl) [a-z]+", rule["annotations"]["description"]), rule
