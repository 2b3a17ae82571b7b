"""How benches say what they found, and on which machine."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(_aligned(i, cell, widths[i]) for i, cell in enumerate(row)) + " |"
        for row in cells
    ]
    rule = [
        ":" + "-" * (width - 1) if i == 0 else "-" * (width - 1) + ":"
        for i, width in enumerate(widths)
    ]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines)


def _aligned(column: int, cell: str, width: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def target(value: float, limit: float, unit: str, *, at_least: bool) -> tuple[str, str, str]:
    """What was measured, what was wanted, and whether it is so."""
    met = value >= limit if at_least else value <= limit
    wanted = f"{'at least' if at_least else 'at most'} {limit:g}{unit}"
    return f"{value:.2f}{unit}", wanted, "met" if met else "MISSED"


def machine() -> str:
    """Cores, processor and Python of this machine, without its name."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {cpu}, {platform.system()}, Python {platform.python_version()}"
