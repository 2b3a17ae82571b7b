"""A folder of `own_model`, requests for it by REST and gRPC, and what is counted of them."""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import grpc
import requests
from mlserver.grpc import dataplane_pb2 as pb
from model_server import SERVERS, Server

MiB = 1024 * 1024


def folder_of(place: Path, settings: dict[str, Any], model: dict[str, Any]) -> Path:
    """A folder as it is written for stock MLServer, with a class of its own."""
    place.mkdir(parents=True)
    shutil.copy(SERVERS.parent / "tests" / "servers" / "own_model.py", place)
    metrics = {"metrics_dir": str(place / "metrics"), "debug": False}
    (place / "settings.json").write_text(json.dumps(metrics | settings))
    own = {"name": "iris", "implementation": "own_model.Own", "parameters": {"version": "v1"}}
    (place / "model-settings.json").write_text(json.dumps(own | model))
    return place


def asked(name: str = "rows", rows: int = 1, **more: Any) -> dict[str, Any]:
    tensor = {"name": name, "shape": [rows, 4], "datatype": "INT32", "data": [1, 2, 3, 4] * rows}
    return {"inputs": [tensor], **more}


def message(name: str = "rows", rows: int = 1, model: str = "iris") -> pb.ModelInferRequest:
    tensor = pb.ModelInferRequest.InferInputTensor(name=name, datatype="INT32", shape=[rows, 4])
    request = pb.ModelInferRequest(model_name=model, inputs=[tensor])
    request.raw_input_contents.append(struct.pack("<4i", 1, 2, 3, 4) * rows)
    return request


def channel(server: Server) -> grpc.Channel:
    sizes = [(f"grpc.max_{way}_message_length", 64 * MiB) for way in ("send", "receive")]
    return grpc.insecure_channel(f"127.0.0.1:{server.ports[1]}", options=sizes)


def counted_as(code: str, bucket: str = "none", times: int = 1) -> dict[str, float]:
    return {f"ab_requests_total,bucket={bucket},code={code}": times}


def latencies(times: int = 1) -> dict[str, float]:
    return {"ab_request_duration_seconds_count": times}


def stream(server: Server, name: str, **headers: str) -> requests.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    url = server.url("/v2/models/iris/generate_stream")
    return requests.post(url, json=asked(name), headers=named, stream=True)
