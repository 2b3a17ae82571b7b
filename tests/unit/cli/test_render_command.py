"""`abctl render` and `abctl platforms`: data on stdout, remarks and errors on stderr."""

import json
from pathlib import Path

import pytest
import yaml

from abctl import plugins
from abctl.cli.main import run

EXAMPLES = Path(__file__).parents[3] / "k8s/experiments"
Screen = pytest.CaptureFixture[str]


def test_platforms_are_all_there_with_what_they_can_do(capsys: Screen) -> None:
    assert run(["platforms", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["apiVersion"], document["kind"]) == ("abctl.dev/v1", "PlatformList")
    items = {item["name"]: item for item in document["items"]}
    assert tuple(items) == plugins.names("abctl.platforms")
    assert items["kserve"]["maxVariants"] == 2
    assert items["kserve"]["grain"] == 0.01
    assert items["nginx"]["sticky"] is True
    assert items["seldon2"]["images"] is False


@pytest.mark.parametrize("wide", [[], ["-o", "wide"]])
def test_the_table_fits_80_columns(wide: list[str], capsys: Screen) -> None:
    assert run(["platforms", *wide]) == 0
    tables = capsys.readouterr().out.split("\n\n")
    assert len(tables) == 1 + bool(wide)
    for table in tables:
        lines = table.splitlines()
        assert len(lines) == 1 + len(plugins.names("abctl.platforms"))
        assert max(map(len, lines)) <= 80


def test_what_it_cannot_express_is_no_half_rendering(tmp_path: Path, capsys: Screen) -> None:
    text = (EXAMPLES / "kserve.yaml").read_text(encoding="utf-8")
    file = tmp_path / "iris.yaml"
    file.write_text(text.replace("90%", "99.5%").replace("10%, model", "0.5%, model"))
    assert run(["render", str(file)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "kserve supports steps of 1%" in shown.err


def test_nothing_before_the_rest_is_said(capsys: Screen) -> None:
    assert run(["render", "--baseline", str(EXAMPLES / "seldon.yaml")]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "seldon needs nothing before the rest" in shown.err


def test_texts_of_several_lines_can_be_read(capsys: Screen) -> None:
    assert run(["render", str(EXAMPLES / "nginx.yaml")]) == 0
    out = capsys.readouterr().out
    assert "  nginx.conf: |\n    pid /tmp/nginx.pid;\n" in out
    kinds = [obj["kind"] for obj in yaml.safe_load_all(out)]
    assert kinds[-4:] == ["ConfigMap", "Deployment", "PodDisruptionBudget", "Service"]
