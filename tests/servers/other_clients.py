"""Asks a model by clients that others wrote, which want an environment of their own (.ci/clients).

    python other_clients.py HOST ROWS (JSON)

Each line of standard input names a client and its users, as a list of JSON; the line of standard
output that answers it is what each of these users got.
"""

import asyncio
import json
import sys

import httpx
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

HOST, ROWS = sys.argv[1], json.loads(sys.argv[2])
NAME, WANTED = "iris", "predict_proba"
SHAPE, DATA = [len(ROWS), len(ROWS[0])], [x for row in ROWS for x in row]


def by_httpx(http2):
    tensor = {"name": "predict", "shape": SHAPE, "datatype": "FP32", "data": DATA}
    body = {"inputs": [tensor], "outputs": [{"name": WANTED}]}

    async def ask(users):
        found = []
        async with httpx.AsyncClient(http1=not http2, http2=http2) as client:
            for user in users:
                url = f"http://{HOST}/v2/models/{NAME}/infer"
                answer = await client.post(url, json=body, headers={"x-user-id": user})
                answer.raise_for_status()
                assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
                [output] = answer.json()["outputs"]
                found.append(output["data"])
        return found

    return ask


def given():
    tensor = InferInput("predict", SHAPE, "FP32", DATA)
    return InferRequest(NAME, [tensor], request_outputs=[RequestedOutput(WANTED)])


async def by_kserve(users):
    found = []
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        url = f"http://{HOST}"
        for user in users:
            answer = await client.infer(url, given(), NAME, headers={"x-user-id": user})
            found.append(answer.outputs[0].as_numpy().ravel().tolist())
    return found


async def by_kserve_grpc(users):
    found = []
    async with InferenceGRPCClient(HOST) as client:
        for user in users:
            answer = await client.infer(given(), headers=[("x-user-id", user)])
            found.append(answer.outputs[0].as_numpy().ravel().tolist())
    return found


async def ready(_):
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        rest = await client.is_model_ready(f"http://{HOST}", NAME)
    async with InferenceGRPCClient(HOST) as client:
        return [rest, await client.is_server_ready(), await client.is_model_ready(NAME)]


CLIENTS = {
    "httpx, HTTP/1.1": by_httpx(http2=False),
    "httpx, HTTP/2": by_httpx(http2=True),
    "kserve, REST": by_kserve,
    "kserve, gRPC": by_kserve_grpc,
    "kserve, ready": ready,
}

for line in sys.stdin:
    client, users = json.loads(line)
    sys.stdout.write(json.dumps(asyncio.run(CLIENTS[client](users))) + "\n")
    sys.stdout.flush()
