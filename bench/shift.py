"""How long a shift takes on the local stack, from its patch to the first answer of the new variant.

All users move from one variant to the other and back, under load; every answer must be a good one.
"""

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from _table import machine, markdown, target

from abctl.core.split import Split
from abctl.session import local_stack, local_world
from abctl.session.shift import shift
from abctl.spec import parse

MODELS = Path(__file__).parents[1] / "model_servers"
BODY = json.dumps(
    {"inputs": [{"name": "predict", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1, 1]}]}
)
NAMES = ("control", "treatment")
EXPERIMENT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: bench}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: bench-1}
  variants:
    - {name: control,   split: 100%, model: {name: iris, version: v1}}
    - {name: treatment, split: 0%,   model: {name: iris, version: v2}}
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 2pp}
"""


class Users(threading.Thread):
    """Asks without a pause; knows when each variant first answered after the last change."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self.headers = {"content-type": "application/json", "x-user-id": name}
        self.answers: Counter[int] = Counter()
        self.first: dict[str, float] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            self.connection.request("POST", "/v2/models/iris/infer", BODY, self.headers)
            response = self.connection.getresponse()
            response.read()
            self.answers[response.status] += 1
            self.first.setdefault(response.headers["x-ab-variant"], time.perf_counter())

    def when(self, variant: str) -> float:
        while variant not in self.first:
            if not self.is_alive():
                sys.exit("error: a user got no answer")
            time.sleep(0.001)
        return self.first[variant]


class TimedDoor:
    """Remembers when the last patch began."""

    def __init__(self, client: local_world.KubeClient) -> None:
        self.client, self.patched = client, 0.0

    def __getattr__(self, verb: str) -> object:
        if verb == "patch":
            self.patched = time.perf_counter()
        return getattr(self.client, verb)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shifts", type=int, default=100)
    shifts = parser.parse_args().shifts
    experiment = parse(EXPERIMENT, "bench")
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "stack"
        try:
            running = local_stack.up(
                experiment,
                state_dir=state,
                models_dir=MODELS,
                tied=True,
                report=lambda line: print(line, file=sys.stderr),
            )
            users = [Users(running.entrance_url, f"user-{i}") for i in range(2)]
            for user in users:
                user.start()
            session = local_world.session(experiment, state)
            client = TimedDoor(session.world)
            session = replace(
                session, world=client, ready=lambda _: True, actor="bench", timeout_seconds=10
            )
            effect_ms, command_ms = [], []
            for number in range(shifts):
                variant = NAMES[(number + 1) % 2]
                for user in users:
                    user.first.pop(variant, None)
                began = time.perf_counter()
                wanted = Split(NAMES, tuple(10_000 * (name == variant) for name in NAMES))
                shift(session, wanted, why="")
                command_ms.append(1000 * (time.perf_counter() - began))
                seen = max(user.when(variant) for user in users)
                effect_ms.append(1000 * (seen - client.patched))
            for user in users:
                user.ended.set()
                user.join(10)
            answers = sum((user.answers for user in users), Counter())
        finally:
            local_stack.down(state)
    lost = answers.total() - answers[200]
    print(f"{shifts} shifts under {answers.total()} requests; {machine()}\n")
    rows = [
        ("from the patch to its effect, median", *limit(statistics.median(effect_ms))),
        ("from the patch to its effect, longest", *limit(max(effect_ms))),
        ("the whole shift with its ledger, median", f"{statistics.median(command_ms):.2f} ms"),
        ("the whole shift with its ledger, longest", f"{max(command_ms):.2f} ms"),
        ("requests lost", *target(lost, 0, "", at_least=False)),
    ]
    print(markdown(("shift", "measured", "wanted", ""), [(*r, "", "")[:4] for r in rows]))


def limit(value_ms: float) -> tuple[str, str, str]:
    return target(value_ms, 100, " ms", at_least=False)


if __name__ == "__main__":
    main()
