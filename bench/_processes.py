"""What processes cost: seconds on the clock, and of CPU, which depend less on what else runs."""

import resource
import subprocess
import time
from typing import NamedTuple


class Cost(NamedTuple):
    """Of one command, or of several after each other."""

    wall: float
    cpu: float


def cost(*commands: list[str]) -> Cost:
    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, start = cpu(), time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    return Cost(time.perf_counter() - start, cpu() - before)
