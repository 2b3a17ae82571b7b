"""Whoever has only the wheel has no checkout: no text in it sends them to what is only there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
PLACES = r"(?:\.ci|bench|docs|k8s|model_servers|tests)/|README|CONTRIBUTING|CHANGELOG|Makefile"
# An index has no abctl: `abctl.installation` says what installs it.
ONLY_THERE = re.compile(rf"\bmake (?:{'|'.join(TARGETS)})\b|{PLACES}|pip install")
ALLOWED = {("abctl/installation.py", "pip install")}


def shipped(folder: Path) -> list[Path]:
    return [path for path in folder.glob("**/*") if path.suffix in {".py", ".yaml", ".json"}]


TEXTS = sorted(
    [*shipped(ROOT / "abctl"), *shipped(ROOT / "model_servers" / "runtime" / "ab_runtime")]
)


def test_it_names_nothing_of_a_checkout() -> None:
    assert len(TEXTS) > 400
    found = {
        (str(path.relative_to(ROOT)), each)
        for path in TEXTS
        for each in ONLY_THERE.findall(path.read_text())
    }
    assert found <= ALLOWED


def test_such_names_would_be_found() -> None:
    assert "models" in TARGETS
    for text in ("run `make models`", "see docs/cli.md", "k8s/base/rbac.yaml", "pip install abctl"):
        assert ONLY_THERE.search(text)
