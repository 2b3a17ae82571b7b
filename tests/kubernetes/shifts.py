"""An experiment that was started on an API server, for tests of shifts."""

import time
from dataclasses import replace

from api_server import DEADLINE_SECONDS

from abctl.cluster.kube import ClusterClient
from abctl.core.experiment import Model
from abctl.core.ledger import ledger_ref
from abctl.core.split import Split
from abctl.forms.ledger import ledger_of
from abctl.platforms import envoy
from abctl.session.apply import start
from abctl.session.session import Session
from abctl.session.shift import shift

NAMES = ("control", "treatment")


def split(treatment_bp):
    return Split(NAMES, (10_000 - treatment_bp, treatment_bp))


A, B = split(1000), split(3000)
STARTED = [("intent", None, A), ("applied", None, A)]


def with_images(experiment):
    """The same, with servers that a cluster can run."""
    model = Model("iris", "v1", image="abctl/iris:v1")
    return replace(experiment, variants=tuple(replace(v, model=model) for v in experiment.variants))


class World:
    """An experiment that was started with split A, on an API server."""

    def __init__(self, cluster, experiment):
        self.cluster, self.experiment = cluster, experiment
        self.client = ClusterClient(kubeconfig=cluster.kubeconfig)
        start(self.by(self.client), why="test")

    def by(self, client, **settings):
        """A session, timed by the clock of this machine."""
        timed = {"clock": time.time, "timeout_seconds": DEADLINE_SECONDS, "actor": "ann"}
        return Session(client, envoy, self.experiment, **(timed | settings))

    def shift(self, to, client=None, **settings):
        return shift(self.by(client or self.client, **settings), to, why="test")

    @property
    def ledger(self):
        return ledger_of(self.client.get(ledger_ref(self.experiment)))

    @property
    def asked(self):
        return envoy.split_of(self.client.get(envoy.target(self.experiment)))

    @property
    def steps(self):
        return [(e.phase, e.before, e.after) for e in self.ledger.entries]
