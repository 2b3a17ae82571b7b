from pathlib import Path

import pytest

from abctl.errors import UsageError
from abctl.local import prometheus
from abctl.local.stack import Server


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "prometheus"
    path.touch(mode=0o755)
    return path


def test_the_named_one_goes_before_the_one_in_the_path(program: Path) -> None:
    environment = {"PATH": str(program.parent)}
    assert prometheus.find(environment) == program
    other = program.with_name("other")
    other.touch(mode=0o755)
    assert prometheus.find(environment | {"ABCTL_PROMETHEUS": str(other)}) == other
    assert prometheus.find(environment | {"ABCTL_PROMETHEUS": ""}) == program
    assert prometheus.find({"PATH": "/nowhere"}) is None


@pytest.mark.parametrize("named", ["/nowhere/prometheus", "/tmp"])
def test_a_name_that_is_no_program_is_an_error(named: str) -> None:
    with pytest.raises(UsageError, match=named):
        prometheus.find({"ABCTL_PROMETHEUS": named})


def test_every_server_is_scraped_under_its_variant() -> None:
    servers = (Server("control", "iris", 1, 2, 3), Server("treatment", "iris", 4, 5, 6))
    made = prometheus.configuration(servers, 7, scrape_seconds=0.5, access_log=8)
    assert made["global"] == {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
    log, mlserver, envoy = made["scrape_configs"]
    assert (log["honor_labels"], log["static_configs"]) == (True, [{"targets": ["127.0.0.1:8"]}])
    assert mlserver["honor_labels"] is True
    assert [(t["targets"], t["labels"]["variant"]) for t in mlserver["static_configs"]] == [
        (["127.0.0.1:3"], "control"),
        (["127.0.0.1:6"], "treatment"),
    ]
    assert envoy["static_configs"] == [{"targets": ["127.0.0.1:7"]}]
