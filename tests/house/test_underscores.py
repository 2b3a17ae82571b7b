"""What begins with an underscore is private: a module to its folder, a name to its module."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "abctl").rglob("*.py"))


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def trespasses(path: Path) -> list[str]:
    """The private modules of other folders, and private names of other modules, that it imports."""
    folder = ".".join(path.relative_to(ROOT).parent.parts)
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("abctl"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                parent, _, module = (node.module or "").rpartition(".")
                foreign = private(module) and parent != folder
                if foreign or (private(alias.name) and node.module != folder):
                    found.append(whole)
    return found


def test_no_module_imports_what_is_private_elsewhere() -> None:
    assert not [f"{path}: {name}" for path in MODULES for name in trespasses(path)]
