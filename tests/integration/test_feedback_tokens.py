"""Two replicas, a collector, and an application that reports late, twice, and only conversions."""

import shutil
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
import requests
from api_server import DEADLINE_SECONDS
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from model_server import IDENTITY, ROW, SERVERS, Server, of, plain
from real_collector import RealCollector

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCollector]:
    started = RealCollector(tmp_path_factory.mktemp("collector"), 30, buckets=8)
    yield started
    started.kill()


@pytest.fixture(scope="module")
def replicas(
    tmp_path_factory: pytest.TempPathFactory, collector: RealCollector
) -> Iterator[list[Server]]:
    own = {"AB_COLLECTOR": collector.url, "AB_KEYS": str(collector.folder / "keys.json")}
    with ExitStack() as stack:
        found = []
        for i in range(2):
            folder = tmp_path_factory.mktemp("models") / str(i)
            shutil.copytree(SERVERS / "v1", folder)
            server = Server(folder, environment={**IDENTITY, **own, "AB_OUTCOMES": "click,spent"})
            found.append(stack.enter_context(server.running()))
        yield found


def test_what_an_application_reports_is_counted_once_and_every_user_too(
    collector: RealCollector, replicas: list[Server]
) -> None:
    tokens = {}
    for i in range(60):
        answer = replicas[i % 2].infer(plain(), x_user_id=f"u{i % 30}")
        tokens[i] = answer.headers["x-ab-token"]
        assert answer.json()["parameters"] == {"variant": "control", "ab_token": tokens[i]}
    reports = [{"token": tokens[i], "outcome": "click", "value": 1} for i in range(0, 60, 4)]
    # Each is sent to either replica: it does not matter which one answered.
    for server in replicas:
        sent = requests.post(server.url("/feedback"), json={"items": reports})
        assert sent.status_code == 200
    assert [each["counted"] for each in sent.json()["items"]] == [False] * len(reports)
    collector.until_counted(15, "ab_outcome_count_total", outcome="click", variant="control")
    collector.until_counted(30, "ab_user_outcome_count_total", outcome="click")
    clicked = {f"u{i % 30}" for i in range(0, 60, 4)}
    assert collector.sum("ab_user_outcome_hits_total", outcome="click") == len(clicked)
    for bucket in range(8):
        users = sum(of(f"u{i}") == str(bucket) for i in range(30))
        name, labels = "ab_user_outcome_count_total", {"outcome": "click", "bucket": str(bucket)}
        assert collector.sum(name, **labels) == users


def test_the_server_itself_counts_no_feedback(replicas: list[Server]) -> None:
    assert not [name for name, _ in replicas[0].page() if name.startswith("ab_outcome")]


def test_every_way_to_ask_gives_a_token_of_its_user(
    collector: RealCollector, replicas: list[Server]
) -> None:
    server = replicas[0]
    long = plain() | {"outputs": [{"name": "predict"}]}
    tokens = [server.infer(each, x_user_id="ann").headers["x-ab-token"] for each in (plain(), long)]
    tensor = pb.ModelInferRequest.InferInputTensor(name="rows", datatype="FP32", shape=[1, 4])
    request = pb.ModelInferRequest(model_name="iris", inputs=[tensor])
    request.raw_input_contents.append(struct.pack("<4f", *ROW))
    with grpc.insecure_channel(f"127.0.0.1:{server.ports[1]}") as channel:
        response, call = GRPCInferenceServiceStub(channel).ModelInfer.with_call(
            request, metadata=(("x-user-id", "ann"),), timeout=DEADLINE_SECONDS
        )
    tokens.append(dict(call.trailing_metadata())["x-ab-token"])
    assert response.parameters["ab_token"].string_param == tokens[-1]
    read = [collector.keys.read(token) for token in tokens]
    assert {each.unit for each in read} == {collector.keys.unit_hash("ann")}
    assert {each.bucket for each in read} == {of("ann")}
    assert len({each.nonce for each in read}) == 3


def test_a_request_without_a_user_has_a_token_too(
    collector: RealCollector, replicas: list[Server]
) -> None:
    token = collector.keys.read(replicas[0].infer(plain()).headers["x-ab-token"])
    assert (token.unit, token.bucket) == (None, "none")


def test_a_collector_that_is_down_is_told_and_loses_nothing(
    collector: RealCollector, replicas: list[Server], tmp_path: Path
) -> None:
    collector.until_counted(31, "ab_user_outcome_count_total", outcome="click")
    collector.kill()
    try:
        answers = [replicas[0].infer(plain(), x_user_id=f"later{i}") for i in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        report = {"token": answers[0].headers["x-ab-token"], "outcome": "click", "value": 1}
        assert requests.post(replicas[0].url("/feedback"), json=report).status_code == 503
    finally:
        collector.start()
    # The application tries again; the server tells its users as soon as it can.
    again = requests.post(replicas[1].url("/feedback"), json=report)
    assert again.json() == {"counted": True}, again.text
    collector.until_counted(36, "ab_user_outcome_count_total", outcome="click")


def test_a_collector_without_keys_is_refused_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "v1"
    shutil.copytree(SERVERS / "v1", folder)
    server = Server(folder, environment={**IDENTITY, "AB_COLLECTOR": "http://127.0.0.1:1"})
    process = server.start()
    assert process.wait(DEADLINE_SECONDS) == 1
    assert "AB_KEYS" in server.log()
