"""Clients that others wrote, through the entrance of a local stack, against the models themselves.

Each user's answer is that of the user's variant, to the bit, and is counted once: by Envoy for the
variant, and by the model server for the user's bucket.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import joblib
import numpy as np
import pytest
import requests
import tritonclient.http
import tritonclient.utils
import yaml
from api_server import DEADLINE_SECONDS, missing, path_from
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc

from abctl.core.assignment import explain
from abctl.core.experiment import Experiment
from abctl.local import stack
from abctl.spec import load

SCRIPTS = Path(sysconfig.get_path("scripts"))
MODELS = Path(__file__).parents[2] / "model_servers"
OTHERS = Path(__file__).parents[1] / "servers" / "other_clients.py"
FLOWERS = np.array([[6.0, 2.9, 4.5, 1.5], [5.1, 3.5, 1.4, 0.2]], dtype=np.float32)
USERS = [f"user-{i}" for i in range(8)]
VERSIONS = {"control": "v1", "treatment": "v2"}
REQUEST = {
    "inputs": [
        {
            "name": "predict",
            "shape": list(FLOWERS.shape),
            "datatype": "FP32",
            "data": FLOWERS.ravel().tolist(),
        }
    ],
    "outputs": [{"name": "predict_proba"}],
}
# In a process of its own: no other file of this protocol may be loaded in the same one.
GRPC = """
import json, sys
import numpy as np
from tritonclient import grpc

host, user, rows = sys.argv[1], sys.argv[2], np.array(json.loads(sys.argv[3]), dtype=np.float32)
given = grpc.InferInput("predict", rows.shape, "FP32")
given.set_data_from_numpy(rows)
wanted = grpc.InferRequestedOutput("predict_proba")
client = grpc.InferenceServerClient(host)
answer = client.infer("iris", [given], outputs=[wanted], headers={"x-user-id": user})
print(json.dumps(answer.as_numpy("predict_proba").tolist()))
"""
# HTTP/2 without TLS, as Go's own client has it since 1.24.
GO = """
package main

import ("fmt"; "io"; "net/http"; "os"; "strings")

func main() {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	request, _ := http.NewRequest("POST", os.Args[1], strings.NewReader(os.Args[3]))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("x-user-id", os.Args[2])
	answer, err := client.Do(request)
	if err != nil || answer.ProtoMajor != 2 {
		panic(fmt.Sprint(err, answer))
	}
	io.Copy(os.Stdout, answer.Body)
}
"""


@dataclass
class World:
    """A local stack with the example models."""

    experiment: Experiment
    running: stack.Stack
    folder: Path
    ending: ExitStack
    others: "subprocess.Popen[str] | None" = None

    @property
    def host(self) -> str:
        return self.running.entrance_url.removeprefix("http://")

    def infer(self) -> str:
        return f"{self.running.entrance_url}/v2/models/iris/infer"

    def place(self, user: str) -> tuple[str, str]:
        """The variant and the bucket of a user."""
        rules, split = self.experiment.assignment, self.experiment.split
        who = explain(rules, split, {"x-user-id": user})
        return str(who.variant), str(who.bucket)

    def counted(self, codes: str = "") -> Counter[tuple[str, str]]:
        """How many answers each bucket of each variant got, by the model servers."""
        found: Counter[tuple[str, str]] = Counter()
        for server in self.running.servers:
            page = requests.get(server.metrics_url, timeout=DEADLINE_SECONDS).text
            for line in re.findall(r"^ab_requests_total\{.*", page, re.MULTILINE):
                labels, value = dict(re.findall(r'(\w+)="([^"]*)"', line)), line.split()[-1]
                if codes in ("", labels["code"]):
                    found[labels["variant"], labels["bucket"]] += int(float(value))
        return found

    def passed(self) -> Counter[str]:
        """How many answers of each variant Envoy has handed on."""
        url = f"{self.running.envoy_admin_url}/stats?filter=upstream_rq_completed"
        page = requests.get(url, timeout=DEADLINE_SECONDS).text
        found: Counter[str] = Counter()
        for name, value in re.findall(r"cluster\.([a-z]+)(?:_grpc)?\.upstream_\w+: (\d+)", page):
            found[name] += int(value)
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("clients")
    accuracy = {"name": "accuracy", "role": "primary", "kind": "proportion", "of": "accuracy"}
    document = {
        "apiVersion": "abctl.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "clients"},
        "spec": {
            "platform": "envoy",
            "assignment": {"unit": "user", "key": "x-user-id", "salt": "clients-1", "buckets": 8},
            "variants": [
                {"name": name, "split": "50%", "model": {"name": "iris", "version": version}}
                for name, version in VERSIONS.items()
            ],
            "metrics": [accuracy | {"direction": "increase", "mde": "2pp"}],
        },
    }
    (path := folder / "clients.yaml").write_text(yaml.safe_dump(document))
    words = [str(path), "--models", str(MODELS), "--state", str(folder / "state")]
    abctl = str(SCRIPTS / "abctl")
    subprocess.run([abctl, "local", "up", *words], check=True, cwd=folder, capture_output=True)
    down = [abctl, "local", "down", "--state", str(folder / "state")]
    with ExitStack() as ending:
        ending.callback(subprocess.run, down, check=True, cwd=folder, capture_output=True)
        yield World(load(path), stack.read(folder / "state"), folder, ending)


def probabilities(text: str | bytes) -> Any:
    (output,) = json.loads(text)["outputs"]
    return np.array(output["data"]).reshape(output["shape"])


def triton_http(world: World, user: str) -> Any:
    given = tritonclient.http.InferInput("predict", list(FLOWERS.shape), "FP32")
    given.set_data_from_numpy(FLOWERS, binary_data=False)
    wanted = tritonclient.http.InferRequestedOutput("predict_proba", binary_data=False)
    client = tritonclient.http.InferenceServerClient(world.host)
    answer = client.infer("iris", [given], outputs=[wanted], headers={"x-user-id": user})
    client.close()
    return answer.as_numpy("predict_proba").reshape(len(FLOWERS), -1)


def triton_grpc(world: World, user: str) -> Any:
    words = [sys.executable, "-c", GRPC, world.host, user, json.dumps(FLOWERS.tolist())]
    return np.array(json.loads(subprocess.run(words, check=True, capture_output=True).stdout))


def curl(*options: str) -> Callable[[World, str], Any]:
    def ask(world: World, user: str) -> Any:
        headers = ("-H", "content-type: application/json", "-H", f"x-user-id: {user}")
        words = ["curl", "-sSf", *options, world.infer(), *headers, "-d", json.dumps(REQUEST)]
        return probabilities(subprocess.run(words, check=True, capture_output=True).stdout)

    return ask


def go(world: World, user: str) -> Any:
    program = world.folder / "client"
    if not program.exists():
        compiler = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
        if compiler is None:
            missing("no go in PATH, nor in /usr/local/go")
        (source := world.folder / "main.go").write_text(GO)
        build = [compiler, "build", "-o", str(program), str(source)]
        subprocess.run(build, check=True, capture_output=True)
    words = [str(program), world.infer(), user, json.dumps(REQUEST)]
    return probabilities(subprocess.run(words, check=True, capture_output=True).stdout)


def stream(world: World, user: str) -> Any:
    """A stream of one, by the stubs of the protocol."""
    asked = dataplane_pb2.ModelInferRequest(model_name="iris")
    given = asked.inputs.add(name="predict", datatype="FP32", shape=FLOWERS.shape)
    given.contents.fp32_contents.extend(FLOWERS.ravel().tolist())
    asked.outputs.add(name="predict_proba")
    with grpc.insecure_channel(world.host) as channel:
        ask = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer
        [answer] = ask(iter([asked]), metadata=[("x-user-id", user)], timeout=DEADLINE_SECONDS)
    return answer.outputs[0].contents.fp64_contents


def mlserver_infer(world: World, user: str) -> Any:
    (given := world.folder / "asked.jsonl").write_text(json.dumps(REQUEST) + "\n")
    places = ["-i", str(given), "-o", str(found := world.folder / "answered.jsonl")]
    words = ["-u", world.host, "-m", "iris", "-H", f"x-user-id: {user}", *places]
    subprocess.run([SCRIPTS / "mlserver", "infer", *words], check=True, capture_output=True)
    return probabilities(found.read_text())


def other(client: str) -> Callable[[World, Sequence[str]], Any]:
    """A client of an environment of its own, which is started once."""

    def ask(world: World, users: Sequence[str]) -> Any:
        if world.others is None:
            words = [path_from("clients"), str(OTHERS), world.host, json.dumps(FLOWERS.tolist())]
            pipe = subprocess.PIPE
            world.others = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
            world.ending.enter_context(world.others)
        asked, answers = world.others.stdin, world.others.stdout
        assert asked is not None
        assert answers is not None
        asked.write(json.dumps([client, users]) + "\n")
        asked.flush()
        return json.loads(answers.readline())

    return ask


def each(client: Callable[[World, str], Any]) -> Callable[[World, Sequence[str]], Any]:
    return lambda world, users: [client(world, user) for user in users]


CLIENTS: dict[str, Callable[[World, Sequence[str]], Any]] = {
    "tritonclient, HTTP": each(triton_http),
    "tritonclient, gRPC": each(triton_grpc),
    "stubs of gRPC, stream": each(stream),
    "curl, HTTP/1.0": each(curl("--http1.0")),
    "curl, HTTP/1.1": each(curl("--http1.1")),
    "curl, HTTP/2": each(curl("--http2-prior-knowledge")),
    "Go": each(go),
    "mlserver infer": each(mlserver_infer),
    **{
        name: other(name)
        for name in ("httpx, HTTP/1.1", "httpx, HTTP/2", "kserve, REST", "kserve, gRPC")
    },
}
# Each process of theirs takes seconds to start.
FEW = {"mlserver infer", "tritonclient, gRPC"}


@pytest.mark.parametrize("client", CLIENTS)
def test_an_answer_is_the_models_own_and_is_counted_once(world: World, client: str) -> None:
    both = {world.place(user)[0]: user for user in USERS}
    users = list(both.values()) if client in FEW else USERS
    assert len(both) == 2
    before, passed = world.counted(), world.passed()
    for user, found in zip(users, CLIENTS[client](world, users), strict=True):
        variant, _ = world.place(user)
        model = joblib.load(MODELS / VERSIONS[variant] / "model.joblib")
        assert np.array_equal(np.ravel(found), model.predict_proba(FLOWERS).ravel()), user
    assert world.counted() - before == Counter(map(world.place, users))
    assert world.passed() - passed == Counter(world.place(user)[0] for user in users)


def test_readiness_as_kserves_clients_ask_for_it(world: World) -> None:
    assert other("kserve, ready")(world, []) == [True, True, True]


def test_binary_tensors_are_refused_and_counted_so(world: World) -> None:
    """As tritonclient sends them by HTTP, unless it is told otherwise; MLServer reads JSON only."""
    given = tritonclient.http.InferInput("predict", list(FLOWERS.shape), "FP32")
    given.set_data_from_numpy(FLOWERS)
    client = tritonclient.http.InferenceServerClient(world.host)
    before = world.counted("4xx")
    with pytest.raises(tritonclient.utils.InferenceServerException):
        client.infer("iris", [given], headers={"x-user-id": USERS[0]})
    client.close()
    assert world.counted("4xx") - before == Counter([world.place(USERS[0])])


def test_the_model_repository_is_not_to_be_had(world: World) -> None:
    name = "/inference.GRPCInferenceService/RepositoryModelUnload"
    with grpc.insecure_channel(world.host) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(name)(b"\n\0\x12\4iris", timeout=DEADLINE_SECONDS)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    url = f"{world.running.entrance_url}/v2/repository/models/iris/unload"
    assert requests.post(url, json={}, timeout=DEADLINE_SECONDS).status_code == 404
    assert requests.post(world.infer(), json=REQUEST, timeout=DEADLINE_SECONDS).status_code == 200
