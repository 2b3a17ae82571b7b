"""The pages of the command: what is asked of them is off until somebody says who may."""

from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from abctl.cli.controller import Askers, ControllerOptions, _pages
from abctl.cli.main import run
from abctl.controller.seen import Seen
from abctl.core.change import Object


class Away:
    """A cluster whose API server does not answer, and which is asked once."""

    def __init__(self, sleep):
        self._pause = sleep

    def get(self, ref) -> Object:
        self._pause(1.0)
        raise AssertionError  # nobody waits

    ask = get


def code_of(askers, path):
    made = SimpleNamespace(
        seen=Seen(),
        leases=SimpleNamespace(held={}),
        silent_seconds=1.0,
        namespaces=("models",),
        reader=Away,
    )
    pages = _pages(made, ControllerOptions(listen="127.0.0.1:0", askers=askers))
    try:
        with urlopen(f"http://127.0.0.1:{pages.port}{path}", timeout=60) as answer:
            return answer.status
    except HTTPError as error:
        with error:
            return error.code
    finally:
        pages.close()


@pytest.mark.parametrize(
    ("askers", "path", "code"),
    [
        ("nobody", "/verdict/models/iris", 404),
        ("token", "/verdict/models/iris", 401),
        ("anyone", "/verdict/models/iris", 503),
        ("anyone", "/healthz", 200),
    ],
)
def test_it_is_off_until_somebody_says_who_may_ask(askers, path, code):
    assert code_of(Askers(askers), path) == code


def test_whoever_may_ask_needs_a_place_to_ask_at(capsys):
    assert run(["controller", "--askers", "token"]) == 2
    assert "--listen" in capsys.readouterr().err
