"""What commands read of the world: each look reads the ledger and the split object few times."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from abctl import doctor
from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import ledger_ref
from abctl.platforms import istio
from abctl.session.apply import apply
from abctl.session.session import Session
from abctl.spec import parse

FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: iris}
spec:
  platform: istio
  assignment: {unit: request}
  entrance: {host: iris.example.com}
  variants:
    - {name: control, split: 90%, model: {name: iris, version: v1, image: "abctl/iris:v1"}}
    - {name: treatment, split: 10%, model: {name: iris, version: v2, image: "abctl/iris:v2"}}
  metrics:
    - {name: errors, role: primary, kind: proportion, of: errors, direction: decrease}
  source: {scrape: {file: pages.jsonl}}
"""


class Counting(DirectoryClient):
    """A world that counts what is read of it, in which all is well."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reads: Counter[Ref] = Counter()

    def get(self, ref: Ref) -> Object:
        self.reads[ref] += 1
        obj = super().get(ref)
        if ref.kind == "Deployment":
            available = {"type": "Available", "status": "True"}
            return {**obj, "status": {"conditions": [available]}}
        return obj


@pytest.fixture
def experiment() -> Experiment:
    return parse(FILE, "iris.yaml")


@pytest.fixture
def session(tmp_path: Path, experiment: Experiment) -> Session:
    (tmp_path / "world").mkdir()
    world = Counting(tmp_path / "world")
    return Session(world, istio, experiment, actor="ann")


def reads(session: Session, ref: Ref) -> int:
    world: Any = session.world
    found: int = world.reads[ref]
    world.reads.clear()
    return found


def test_apply_reads_the_ledger_first_and_when_it_writes_the_split(session: Session) -> None:
    ref = ledger_ref(session.experiment)
    apply(session, why="a start")
    assert reads(session, ref) == 2
    apply(session, why="again")
    assert reads(session, ref) == 2


def test_the_doctor_reads_what_carries_the_split_as_rarely_as_it_can(session: Session) -> None:
    apply(session, why="a start")
    reads(session, session.target)
    checks = list(doctor.examine(session))
    assert "split" in {check.name for check in checks}
    # Once to see whether it is there, and once together with the ledger.
    assert reads(session, session.target) == 2
