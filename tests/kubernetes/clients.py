"""Clients that die, clients that count, and two who shift at once: for every kind of world."""

import threading
from concurrent.futures import ThreadPoolExecutor

from api_server import DEADLINE_SECONDS

from abctl.core.split import Split
from abctl.errors import ConflictError
from abctl.forms.ledger import ledger_of


class Crash(BaseException):
    """Nothing can catch a SIGKILL."""


class DyingClient:
    """Dies at one call, before or after it took effect."""

    def __init__(self, client, at, after):
        self.client, self.left, self.after = client, at, after

    def __getattr__(self, verb):
        def call(*args, **kwargs):
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Crash
            try:
                return getattr(self.client, verb)(*args, **kwargs)
            finally:  # also where the answer is a refusal
                if self.left == 0:
                    raise Crash

        return call


def survives(action, client, at, after):
    """Whether an action comes to its end with a client that dies at its call number `at`."""
    try:
        action(DyingClient(client, at, after))
    except Crash:
        return False
    return True


class CountingClient:
    """Counts what was really written to the ledger."""

    def __init__(self, client):
        self.client, self.written = client, []

    def __getattr__(self, verb):
        return getattr(self.client, verb)

    def replace(self, obj):
        answer = self.client.replace(obj)
        self.written.append(ledger_of(answer).entries[-1])
        return answer


def contend(world, ann, bob, rounds):
    """Two shift a world at once, again and again: each round one wins, and no entry is ever lost.

    A `world` has `shift(split, client, actor)`, `asked` and `ledger`.
    """
    before, wins = len(world.ledger.entries), 0
    names, clients = (
        world.ledger.wanted.names,
        {"ann": CountingClient(ann), "bob": CountingClient(bob)},
    )
    for round_ in range(rounds):
        shares = {"ann": 2000 + round_, "bob": 6000 + round_}
        targets = {who: Split(names, (10_000 - bp, bp)) for who, bp in shares.items()}
        together = threading.Barrier(2)

        def one(actor, targets=targets, together=together):
            together.wait(DEADLINE_SECONDS)
            try:
                return world.shift(targets[actor], client=clients[actor], actor=actor)
            except ConflictError as error:
                return error

        with ThreadPoolExecutor(2) as pool:
            results = dict(zip(clients, pool.map(one, clients), strict=True))
        won = [actor for actor, r in results.items() if not isinstance(r, ConflictError)]
        assert won, results
        assert all(r.hint for r in results.values() if isinstance(r, ConflictError))
        known = world.ledger
        assert known.intent is None
        assert world.asked == known.desired
        assert known.desired in [targets[actor] for actor in won]
        wins += len(won)
    written = clients["ann"].written + clients["bob"].written
    kept = known.entries[before:]
    assert len(kept) == len(written)
    assert all(kept.count(entry) == written.count(entry) for entry in written)
    assert sum(entry.phase == "applied" for entry in kept) == wins
