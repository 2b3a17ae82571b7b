"""Feedback with tokens, through real Envoy and nginx with the rendered routes, to a real collector.

No model server is asked, so none counts it.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import requests
from api_server import DEADLINE_SECONDS, HOST, path_from
from real_collector import RealCollector
from real_envoy import RealEnvoy
from real_nginx import RealNginx

from abctl.core.experiment import Experiment
from abctl.core.outcome import Outcome
from abctl.platforms._entrance import MOST_FEEDBACK_BYTES

pytestmark = pytest.mark.process


class Running(NamedTuple):
    """A proxy and the collector behind it."""

    proxy: RealEnvoy | RealNginx
    collector: RealCollector

    def post(self, body: Any, **headers: str) -> requests.Response:
        url = f"http://{HOST}:{self.proxy.port}/feedback"
        raw = json.dumps(body).encode() if isinstance(body, dict) else body
        return requests.post(url, raw, headers=headers, timeout=DEADLINE_SECONDS)

    def click(self, variant: str, unit: str) -> dict[str, Any]:
        return {"token": self.collector.token(variant, unit), "outcome": "click", "value": 1}


@pytest.fixture(scope="module", params=["envoy", "nginx"])
def running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_experiment: Callable[..., Experiment],
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("entrance")
    collector = RealCollector(tmp_path_factory.mktemp("collector"), maturity_seconds=3600)
    experiment = dataclasses.replace(
        make_experiment(shares_bp=(5000, 5000)), outcomes=(Outcome("click", "binary"),)
    )
    where = (HOST, urlsplit(collector.url).port or 0)
    proxy: RealEnvoy | RealNginx
    if request.param == "envoy":
        proxy = RealEnvoy(experiment, folder, collector=where)
    else:
        proxy = RealNginx(path_from("debian", "nginx"), experiment, folder, collector=where)
    proxy.wait()
    yield Running(proxy, collector)
    proxy.stop()
    collector.kill()


def test_reports_of_every_variant_reach_the_collector_and_no_model_server(
    running: Running,
) -> None:
    before = running.collector.sum("ab_outcome_waiting", outcome="click")
    for variant in ("control", "treatment"):
        for said in ({}, {"x-ab-variant": "control"}, {"x-ab-variant": "nobody"}):
            answer = running.post(running.click(variant, f"u{len(said)}"), **said)
            assert (answer.status_code, answer.json()) == (200, {"counted": True})
            assert "x-ab-variant" not in answer.headers
    for variant in ("control", "treatment"):
        assert running.collector.sum("ab_outcome_waiting", variant=variant) == before / 2 + 3
    if isinstance(running.proxy, RealEnvoy):
        counted = running.proxy.count
        assert counted(r"cluster\.control\.upstream_rq_completed$") == 0
        assert counted(r"cluster\.treatment\.upstream_rq_completed$") == 0
        assert counted(r"cluster\._collector\.upstream_rq_completed$") >= 6


def test_what_the_collector_refuses_comes_back_as_it_is(running: Running) -> None:
    forged = running.click("control", "u1") | {"token": "1.a.AAAA"}
    answer = running.post(forged)
    assert answer.status_code == 422
    assert "refused" in answer.json()
    assert running.post(b"no json").status_code == 400


def test_bodies_are_limited_as_by_the_collector(running: Running) -> None:
    filled = json.dumps(running.click("control", "u9")).encode()
    whole = filled + b" " * (MOST_FEEDBACK_BYTES - len(filled))
    assert running.post(whole).json() == {"counted": True}
    assert running.post(whole + b" ").status_code == 413

    def parts() -> Iterator[bytes]:
        yield whole
        yield b" "

    url = f"http://{HOST}:{running.proxy.port}/feedback"
    assert requests.post(url, parts(), timeout=DEADLINE_SECONDS).status_code == 413
