import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from api_server import DEADLINE_SECONDS

from abctl.local.identity import Identity, wait_for

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.process
def test_a_process_is_alive_until_it_ends_and_its_zombie_is_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = Identity.of(child.pid)
    assert identity.alive
    child.communicate(b"\n")
    assert not identity.alive
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        zombie = Identity.of(ended.pid)
        assert wait_for(lambda: not zombie.alive, DEADLINE_SECONDS)
        assert ended.returncode is None


def test_another_process_with_the_same_pid_is_not_it_and_gets_no_signal() -> None:
    me = Identity.of(os.getpid())
    stranger = replace(me, born=f"{me.born}0")
    assert me.alive
    assert not stranger.alive
    stranger.send(signal.SIGKILL)
    stranger.stop(0.0)


@pytest.mark.parametrize("born", ["", "boot/1"])
def test_a_pid_that_nobody_has_is_not_alive(born: str) -> None:
    assert not Identity(2**22 + 1, born).alive


@pytest.mark.process
def test_one_that_ignores_sigterm_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        Identity.of(child.pid).stop(0.1)
        assert child.wait() == -signal.SIGKILL


def test_waiting_ends_with_the_condition_or_the_time() -> None:
    assert wait_for(lambda: True, 0.0)
    assert not wait_for(lambda: False, 0.0)
