"""A Lease has one holder who may write, whatever is slow, lost or killed."""

import copy
import random

import pytest

from abctl.controller.leases import Leadership
from abctl.errors import ConflictError, NotFoundError, UnreachableError


class Server:
    """One Lease, with Kubernetes' optimistic lock, and a clock that the test moves."""

    def __init__(self):
        self.obj, self.version, self.now, self.away = None, 0, 0.0, False
        self.between = lambda: None  # what happens on the way of each request

    def get(self, _):
        self._ask()
        if self.obj is None:
            raise NotFoundError("no Lease", "x")
        return copy.deepcopy(self.obj)

    def create(self, obj):
        self._ask()
        if self.obj is not None:
            raise ConflictError("it is there", "x")
        return self._store(obj)

    def replace(self, obj):
        self._ask()
        if obj["metadata"]["resourceVersion"] != self.obj["metadata"]["resourceVersion"]:
            raise ConflictError("somebody was faster", "x")
        return self._store(obj)

    def _ask(self):
        self.between()
        if self.away:
            raise UnreachableError("away", "x")

    def _store(self, obj):
        self.version += 1
        meta = obj["metadata"] | {"resourceVersion": str(self.version)}
        self.obj = copy.deepcopy(obj) | {"metadata": meta}
        return self.obj


def candidates(server, *names):
    return [Leadership(server, "models", name, lambda: server.now) for name in names]


def test_one_leads_and_the_other_takes_over_when_it_is_dead():
    server = Server()
    one, two = candidates(server, "one", "two")
    one.renew()
    two.renew()
    assert (one.held, two.held) == (True, False)
    server.now = 9.0
    one.renew()
    for second in range(10, 40):  # one is dead
        server.now = float(second)
        two.renew()
        if two.held:
            break
    assert not one.held
    assert 9.0 + 15.0 <= server.now <= 9.0 + 16.0
    assert server.obj["spec"]["leaseTransitions"] == 1


def test_who_cannot_renew_stops_before_anybody_takes_over():
    server = Server()
    one, two = candidates(server, "one", "two")
    one.renew()
    server.now = 9.9
    one.require()
    server.now = 10.0
    with pytest.raises(ConflictError, match="does not hold the Lease"):
        one.require()
    two.renew()
    assert not two.held


def test_who_gives_it_back_is_followed_at_once():
    server = Server()
    one, two = candidates(server, "one", "two")
    one.renew()
    two.renew()
    one.release()
    assert not one.held
    two.renew()
    assert two.held
    one.release()  # what it does not hold it does not give back
    assert server.obj["spec"]["holderIdentity"] == "two"


def test_a_lease_that_says_nothing_is_taken_and_one_without_an_end_lasts_as_long_as_ours():
    server = Server()
    (one,) = candidates(server, "one")
    server._store({"metadata": {}, "spec": None})
    one.renew()
    assert one.held
    server._store(server.obj | {"spec": {"holderIdentity": "other"}})
    one.renew()
    assert not one.held
    for server.now, held in ((14.9, False), (15.0, True)):
        one.renew()
        assert one.held is held


@pytest.mark.parametrize("seed", range(60))
def test_never_two_whatever_happens_on_the_way(seed):
    rng, server = random.Random(seed), Server()
    everyone = candidates(server, "one", "two", "three")
    frozen: dict[str, float] = {}
    leaders = set()

    def check():
        held = [each.identity for each in everyone if each.held]
        assert len(held) <= 1, held
        leaders.update(held)

    def between(depth=[0]):  # noqa: B006 - how deep requests of others lie in one
        server.now += rng.choice((0.0, 0.01, 0.5, 4.0, 20.0))
        check()
        if depth[0] < 2 and rng.random() < 0.4:
            depth[0] += 1
            step(rng.choice(everyone))
            depth[0] -= 1

    def step(each):
        if frozen.get(each.identity, 0.0) > server.now:
            return
        server.away = rng.random() < 0.05
        try:
            each.renew()
        except UnreachableError:
            pass
        finally:
            server.away = False
        check()

    server.between = between
    for _ in range(200):
        each = rng.choice(everyone)
        if rng.random() < 0.03:
            frozen[each.identity] = server.now + rng.choice((3.0, 12.0, 60.0))
        step(each)
        server.now += rng.choice((0.0, 1.0, 2.0, 6.0))
        check()
    assert leaders
