"""What a collector imports: it is a small process beside others, and starts at once."""

import subprocess
import sys

import pytest


@pytest.mark.process
def test_a_collector_imports_nothing_of_the_model_servers() -> None:
    program = """
import sys
import ab_runtime.collector.__main__
slow = {"grpc", "mlserver", "numpy", "pandas", "sklearn"}
sys.exit(",".join(slow & set(sys.modules)) or 0)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
