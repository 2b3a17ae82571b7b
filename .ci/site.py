"""Pages of the site that are made when it is built: the start, and what the code itself says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from abctl.cli._app import app
from abctl.cli._commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
ABOVE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}
_LINK = re.compile(r"(\]\()([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made here."""
    pages = {made: moved((ROOT / name).read_text()) for name, made in ABOVE.items()}
    pages["reference/commands.md"] = "\n".join(commands())
    for name in ("experiment", "analysis"):
        schema = json.loads((ROOT / "abctl" / f"{name}.schema.json").read_text())
        pages[f"reference/{name}.md"] = "\n".join(fields(name, schema))
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links of documents to what stands above them at their place in the site."""
    return _LINK.sub(
        lambda found: found[1] + ABOVE.get(found[2].removeprefix("../"), found[2]), markdown
    )


def moved(text: str) -> str:
    """A document from above `docs`, with its links as from within."""
    return text.replace("](docs/", "](")


def commands() -> Iterator[str]:
    """Every command with its help, arguments and options."""
    group: Any = typer.main.get_command(app)
    yield "# Commands\n"
    yield "Made from the code. [The command line](../cli.md) says which one to use for what.\n"
    for name in COMMANDS:
        yield from command(f"abctl {name}", group.get_command(None, name), 2)


def command(name: str, it: Any, level: int) -> Iterator[str]:
    """One command, and those below it."""
    yield f"{'#' * level} {name}\n"
    words = (it.help or "").replace("\b", "").strip()
    yield f"```text\n{words}\n```\n"
    shown = [each for each in it.params if not getattr(each, "hidden", False)]
    if shown:
        yield "| | | default | environment |\n|---|---|---|---|"
        for each in shown:
            yield row(*parameter(each))
        yield ""
    for below, inner in getattr(it, "commands", {}).items():
        yield from command(f"{name} {below}", inner, level + 1)


def parameter(it: Any) -> tuple[str, str, str, str]:
    """What it is called, what it does, its default and its variable."""
    option = it.param_type_name == "option"
    names = (
        ", ".join(f"`{each}`" for each in sorted(it.opts, key=len))
        if option
        else f"`{it.human_readable_name}`"
    )
    plain = isinstance(it.default, str | int | float) and not isinstance(it.default, bool)
    default = it.show_default if isinstance(it.show_default, str) else it.default if plain else ""
    variable = it.envvar if isinstance(it.envvar, str) else ", ".join(it.envvar or ())
    return (
        names,
        it.help or "",
        f"`{default}`" if default != "" else "",
        f"`{variable}`" if variable else "",
    )


def fields(name: str, schema: dict[str, Any]) -> Iterator[str]:
    """Every object of a JSON Schema with its fields."""
    what = {"experiment": "The experiment file", "analysis": "The analysis as JSON"}[name]
    command = {"experiment": "abctl schema", "analysis": "abctl schema analysis"}[name]
    yield f"# {what}\n\nMade from the schema that `{command}` prints.\n"
    top = {} if "$ref" in schema else {what: schema}
    for title, it in (top | schema["$defs"]).items():
        yield f"## {title}\n\n{it.get('description', '')}\n"
        if not it.get("properties"):
            continue
        yield "| field | type | |\n|---|---|---|"
        required = set(it.get("required", ()))
        for field, each in it["properties"].items():
            more = [each.get("description", "")]
            if field not in required and each.get("default") not in (None, [], {}, ""):
                more.append(f"Default: `{json.dumps(each['default'])}`.")
            mark = " (needed)" if field in required and name == "experiment" else ""
            yield row(f"`{field}`{mark}", type_of(each), " ".join(more))
        yield ""


def type_of(it: dict[str, Any]) -> str:
    """A type in words, linked where it is an object of the same page."""
    if ref := it.get("$ref"):
        title = ref.rpartition("/")[2]
        return f"[{title}](#{title.lower()})"
    if "const" in it:
        return f"`{it['const']}`"
    if "enum" in it:
        return " or ".join(f"`{each}`" for each in it["enum"])
    for several in ("anyOf", "oneOf"):
        if several in it:
            return " or ".join(dict.fromkeys(type_of(each) for each in it[several]))
    kind = it.get("type", "any")
    if kind == "array" and (inner := it.get("prefixItems") or [it.get("items")])[0]:
        return f"list of {', '.join(map(type_of, inner))}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def row(*cells: str) -> str:
    """A line of a table."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
