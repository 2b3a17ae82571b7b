"""A Prometheus behind a real API server: the way there, and what the server says of it."""

import pytest

from abctl.cluster.kube import ClusterClient
from abctl.errors import SourceError
from abctl.spec import reach


@pytest.fixture
def client(cluster) -> ClusterClient:
    return ClusterClient(kubeconfig=cluster.kubeconfig)


def test_a_service_that_is_not_there_is_told_in_the_servers_words(client: ClusterClient) -> None:
    source = reach.prometheus({"service": "default/prometheus:9090"}, "models", client)
    assert source.place == f"service default/prometheus:9090 of {client.words}"
    with pytest.raises(SourceError) as caught:
        source.now()
    assert 'services "prometheus" not found' in caught.value.message


def test_a_service_without_a_server_is_told_after_some_tries(
    client: ClusterClient, pauses: list[float]
) -> None:
    meta = {"name": "empty", "namespace": "default"}
    spec = {"ports": [{"port": 9090}], "selector": {"app": "nobody"}}
    client.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    # Here nobody makes it of the Service.
    client.apply({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta})
    source = reach.prometheus({"service": "empty:9090"}, "default", client)
    with pytest.raises(SourceError, match=r"HTTP 503: no endpoints available.*empty"):
        source.now()
    assert pauses
