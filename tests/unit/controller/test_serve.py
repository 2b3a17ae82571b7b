"""The controller's own page."""

from http import HTTPStatus
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from abctl.controller.serve import Pages
from abctl.errors import UsageError


def test_it_answers_what_it_knows_and_nothing_else():
    answers = {"/healthz": lambda: (HTTPStatus.OK, "text/plain", b"ok\n")}
    pages = Pages("127.0.0.1:0", answers)
    try:
        where = f"http://127.0.0.1:{pages.port}"
        with urlopen(f"{where}/healthz?full=1", timeout=60) as answer:
            assert (answer.read(), answer.headers["Server"].strip()) == (b"ok\n", "abctl")
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{where}/../etc/passwd", timeout=60)
        assert refused.value.code == 404
        refused.value.close()
        with pytest.raises(UsageError, match="--listen"):
            Pages(f"127.0.0.1:{pages.port}", answers)
    finally:
        pages.close()


@pytest.mark.parametrize("where", ["", "9464", "here:", "127.0.0.1:99999", "no.such.host.test:1"])
def test_what_is_no_address_is_told(where):
    with pytest.raises(UsageError, match="--listen"):
        Pages(where, {})
