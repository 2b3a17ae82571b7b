"""An experiment that waits for others looks no more often than it must, and says for whom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Object, Ref
from abctl.core.experiment import Entrance, Experiment, Model, Variant
from abctl.core.ledger import Entry
from abctl.errors import ClusterError, NotReadyError
from abctl.forms.ledger import new_object
from abctl.platforms import istio
from abctl.session import rivals
from abctl.session.rivals import Found, Rival, wait_until_alone
from abctl.session.session import Session

WINE = Found((Rival("experiment/wine in shop", "host iris.example.com"),), ())
ROSE = Found((Rival("experiment/rose in shop", "host iris.example.com"),), ())
NOBODY = Found((), ("routes may not be listed",))
World = Callable[..., tuple[Session, list[str], list[Found]]]


@pytest.fixture
def world(make_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch) -> World:
    """What is seen, look by look; what was said, and what is yet to be seen."""

    def make(*seen: Found) -> tuple[Session, list[str], list[Found]]:
        left, said, now = list(seen), list[str](), [0.0]
        monkeypatch.setattr(rivals, "rivals", lambda *_: left.pop(0))
        client: Any = None

        def sleep(seconds: float) -> None:
            now[0] += seconds

        experiment = make_experiment()
        session = Session(
            client, istio, experiment, report=said.append, clock=lambda: now[0], sleep=sleep
        )
        return session, said, left

    return make


def test_it_goes_on_with_the_look_that_found_nobody(world: World) -> None:
    session, said, left = world(WINE, WINE, ROSE, NOBODY)
    wait_until_alone(session, {}, deadline=60.0)
    assert left == []
    assert [line.partition(" has ")[0] for line in said[:2]] == [
        "queued: experiment/wine in shop",
        "queued: experiment/rose in shop",
    ]
    assert "routes may not be listed" in said[2]
    assert len(said) == 3


def test_it_waits_until_its_time_is_over(world: World) -> None:
    session, said, _ = world(WINE, WINE, WINE)
    with pytest.raises(NotReadyError, match="nothing was changed"):
        wait_until_alone(session, {}, deadline=3.0)
    assert len(said) == 1


class OneNamespace(DirectoryClient):
    """Somebody who may look into one namespace."""

    def list(
        self, api_version: str, kind: str, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[Object]:
        if not namespace:
            raise ClusterError("may not list all", "ask")
        return super().list(api_version, kind, namespace, labels)


@pytest.mark.parametrize(
    ("host", "phase", "rivals_count"),
    [
        ("a.example.com", "intent", 1),
        ("b.example.com", "intent", 0),
        ("a.example.com", "applied", 0),
    ],
)
def test_who_has_begun_is_seen_before_the_route_is_there(
    make_experiment: Callable[..., Experiment],
    tmp_path: Path,
    host: str,
    phase: Any,
    rivals_count: int,
) -> None:
    client = OneNamespace(tmp_path)

    def session(name: str, host: str) -> Session:
        first = make_experiment(unit="request")
        variants = tuple(
            Variant(v.name, Model("iris", "v1", image="abctl/iris:v1")) for v in first.variants
        )
        experiment = replace(
            first, name=name, platform="istio", variants=variants, entrance=Entrance(host=host)
        )
        return Session(client, istio, experiment)

    wine, iris = session("wine", host), session("iris", "a.example.com")
    entry = Entry(1.0, "ann", None, wine.experiment.split, "", phase)
    client.create(new_object(wine.experiment, entry, {}, target=wine.target))
    carrier = next(obj for obj in iris.objects if Ref.of(obj) == iris.target)
    found = rivals.rivals(iris, carrier)
    assert [each.who for each in found.rivals] == ["experiment/wine in models"] * rivals_count
    assert all("a.example.com" in each.what for each in found.rivals)
