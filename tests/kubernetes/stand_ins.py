"""Programs that only note how they were called: what a script would do with the real ones."""

import json
import sys
from pathlib import Path

PROGRAM = """#!{python}
import json, os, sys
from pathlib import Path
name = Path(sys.argv[0]).name
with open({calls!r}, "a") as file:
    kept = {{key: os.environ.get(key) for key in ("KUBECONFIG", "ABCTL_TEST_KUBECONFIG")}}
    stdin = "" if sys.stdin.isatty() or "-" not in sys.argv else sys.stdin.read()
    file.write(json.dumps([name, sys.argv[1:], kept, stdin]) + "\\n")
line = " ".join([name, *sys.argv[1:]])
for begins, (said, code) in {answers!r}.items():
    if line.startswith(begins):
        print(said)
        sys.exit(code)
"""


class StandIns:
    """Programs in a folder, and their calls in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "programs"
        self.folder.mkdir()
        self._calls = folder / "calls"

    def add(self, *paths: str, **answers: tuple[str, int]) -> None:
        """Programs of these names, or at these paths; with answers of calls that begin so."""
        text = PROGRAM.format(python=sys.executable, calls=str(self._calls), answers=answers)
        for each in paths:
            path = self.folder / each
            path.write_text(text)
            path.chmod(0o755)

    @property
    def calls(self) -> list[tuple[str, list[str], dict[str, str], str]]:
        """Name, arguments, environment and standard input of each call."""
        if not self._calls.exists():
            return []
        return [tuple(json.loads(line)) for line in self._calls.read_text().splitlines()]
