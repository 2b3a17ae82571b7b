"""Every command that documents, help and messages show exists, and every path of the documents."""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from abctl.cli._app import app
from abctl.cli._commands import COMMANDS

ROOT = Path(__file__).parents[2]
GROUP: Any = typer.main.get_command(app)
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "k8s/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
]
PLACE = re.compile(r"(?:abctl|tests|docs|k8s|bench|model_servers|\.ci)/[\w./-]+")
INLINE, BLOCK = re.compile(r"`([^`\n]+)`"), re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# Words of a sentence about a command, not of a command line.
PROSE = {"...", "COMMAND"}
# What stands for a value that a message puts in; and words that can only be arguments.
VALUE = "VALUE"
ARGUMENT = re.compile(r"--?[a-z].*|.*[=/%.*].*|[A-Z]+(/[A-Z]+)?")


def shown(text: str) -> set[str]:
    """Lines of code blocks and inline code that begin with abctl."""
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    lines += INLINE.findall(BLOCK.sub("", text))
    parts = (part.strip() for line in lines for part in re.split(r"\||;", line))
    return {part.removeprefix("$ ") for part in parts if part.removeprefix("$ ")[:6] == "abctl "}


def in_help(command: Any) -> set[str]:
    """The examples of a command's help, and of the commands within."""
    lines = (line.strip() for line in (command.help or "").splitlines())
    found = {line.split(" | ")[0] for line in lines if line.startswith("abctl ")}
    return found.union(*map(in_help, getattr(command, "commands", {}).values()))


def in_messages(path: Path) -> set[str]:
    """The commands in the texts of a module; docstrings are for others to read."""
    tree, owners = ast.parse(path.read_text()), (ast.Module, ast.FunctionDef, ast.ClassDef)
    bodies = (node.body for node in ast.walk(tree) if isinstance(node, owners))
    documentation = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    inner = {id(part) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in n.values}
    texts = (text_of(n) for n in ast.walk(tree) if id(n) not in documentation | inner)
    return {line for text in texts for line in commands_in(text)}


def text_of(node: ast.AST) -> str:
    """A text as somebody reads it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return VALUE
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def commands_in(text: str) -> set[str]:
    """The command lines of a sentence: as far as its words are arguments."""
    found = set()
    for rest in re.findall(r"\babctl ((?:local )?[a-z]+\b[^`\n]*)", text):
        words = re.findall(r"'[^']*'|[^\s]+", rest.partition(" abctl ")[0])
        name, *others = words[:2] if words[0] == "local" else words[:1]
        line = [name.strip(".,;:)"), *(w.strip(".,;:)") for w in others)]
        if line[0] not in COMMANDS:
            continue  # a sentence about abctl
        ended = any(w[-1] in ".,;:)" for w in words[: len(line)])
        for word in [] if ended else words[len(line) :]:
            option = line[-1].startswith("-") and takes_value(line)
            if not (option or ARGUMENT.fullmatch(word.rstrip(".,;:)")) or word[0] == "'"):
                break
            line.append(word.rstrip(".,;:)"))
            if word[-1] in ",;:)":
                break
        found.add(" ".join(["abctl", *line]))
    return found


def takes_value(words: list[str]) -> bool:
    """Whether the option at the end of a command line wants a value."""
    command = GROUP
    for word in words:
        if hasattr(command, "get_command") and not word.startswith("-"):
            command = command.get_command(None, word) or command
    return any(words[-1] in each.opts and not each.is_flag for each in command.params if each.opts)


def parse(line: str) -> None:
    """Parse a command line as abctl does; runs nothing."""
    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index(">")] if ">" in words else words
    command, path = GROUP, "abctl"
    while hasattr(command, "get_command") and words and not words[0].startswith("-"):
        path = f"{path} {words[0]}"
        command = command.get_command(None, words.pop(0))
        assert command is not None, f"{path} is no command"
    known = {o for each in command.params for o in (*each.opts, *each.secondary_opts)}
    known |= {"--help", "-h"}
    unknown = {w.partition("=")[0] for w in words if re.match(r"--?[a-z]", w)} - known
    assert not unknown, f"{path} has no {unknown}"
    asked = any(e.required for e in command.params if e.param_type_name == "argument")
    # A sentence that only names a command, or one with an option, gives it no arguments.
    if words and not (asked and words[0].startswith("-")) and command is not GROUP:
        command.make_context(path, list(words))


MODULES = sorted((ROOT / "abctl").rglob("*.py"))
LINES = sorted(
    {(path.name, line) for path in DOCUMENTS for line in shown(path.read_text())}
    | {(name, line) for name in COMMANDS for line in in_help(GROUP.get_command(None, name))}
    | {(path.stem, line) for path in MODULES for line in in_messages(path)}
)


@pytest.mark.parametrize(("where", "line"), LINES, ids=lambda each: each.replace(" ", "-"))
def test_every_command_that_is_shown_can_be_parsed(where: str, line: str) -> None:
    if not PROSE.intersection(line.split()):
        parse(line)


def test_every_command_has_an_example_and_is_found_in_its_page() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    assert [name for name in COMMANDS if f"`abctl {name}" not in page] == []
    # A list, to which nothing can be given.
    without = [n for n in COMMANDS if not in_help(GROUP.get_command(None, n))]
    assert without == ["platforms"]


def test_every_target_of_make_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        used = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", path.read_text()))
        assert used <= targets, path.name


def test_every_path_that_is_shown_exists() -> None:
    for path in [*DOCUMENTS, ROOT / "CHANGELOG.md"]:
        words = " ".join(INLINE.findall(BLOCK.sub("", path.read_text()))).split()
        places = {word for word in words if PLACE.fullmatch(word)}
        links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
        missing = [place for place in places if not (ROOT / place).exists()]
        assert missing + [x for x in links if not (path.parent / x).exists()] == [], path.name
