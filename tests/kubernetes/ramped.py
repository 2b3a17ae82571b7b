"""An experiment with a ramp on a real API server: only its requests and the clock are made up.

Time passes where the loop waits for it. Then requests come, go where the object that carries the
split sends them, fail as often as the test says, and are counted and scraped as servers are.
"""

import itertools
import json
from dataclasses import dataclass, field

import numpy as np

from abctl.cluster.kube import ClusterClient
from abctl.core.ledger import ledger_ref
from abctl.errors import NotFoundError
from abctl.forms.ledger import ledger_of
from abctl.platforms import envoy
from abctl.session.apply import start
from abctl.session.run import run
from abctl.session.session import Session

SCRAPED_EVERY, REQUESTS = 5.0, 400  # seconds; requests between two scrapes
FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  platform: envoy
  accessLog: false
  assignment: {{unit: request}}
  variants:
    - {{name: control, split: 100%, model: {{name: iris, version: v1, image: "abctl/iris:v1"}}}}
    - {{name: treatment, split: 0, model: {{name: iris, version: v2, image: "abctl/iris:v2"}}}}
  metrics:
    - name: done
      role: primary
      kind: proportion
      of: done
      direction: increase
      mde: 5pp
      selectors:
        n: n_total{{variant="$variant"}}
        successes: done_total{{variant="$variant"}}
    - {{name: failed, role: guardrail, kind: proportion, of: server_errors, direction: decrease,
       margin: 5pp}}
  source: {{scrape: {{file: {pages}}}, preset: abctl}}
  design: {{minDuration: 1m, maxDuration: 2h, settle: 10s}}
  ramp: {ramp}
"""
RAMP = "{steps: [5%, 20%, 50%], hold: 1m, onShip: promote}"


@dataclass
class World:
    """An experiment with a ramp, its requests and its clock."""

    cluster: object
    experiment: object
    path: object
    text: str
    now: float = 1_800_000_000.0
    done: tuple = (0.6, 0.6)
    failed: tuple = (0.01, 0.01)
    scraped: tuple = (True, True)
    begun: bool = True
    counts: dict = field(default_factory=dict)
    rng: object = field(default_factory=lambda: np.random.default_rng(7))

    def __post_init__(self):
        self.client = ClusterClient(kubeconfig=self.cluster.kubeconfig)
        self.pass_time(2 * SCRAPED_EVERY)
        if self.begun:
            start(self.session(), why="test")

    def session(self, client=None):
        client = client or self.client
        timed = {"clock": lambda: self.now, "sleep": self.pass_time, "actor": "ramp"}
        return Session(client, envoy, self.experiment, **timed)

    def pass_time(self, seconds):
        """Requests come and are scraped until then."""
        end = self.now + seconds
        share = self.share
        while self.now + SCRAPED_EVERY <= end:
            self.now += SCRAPED_EVERY
            self.come(share)
            self.scrape()
        self.now = end

    @property
    def share(self):
        """Of the treatment; nothing before anything is applied."""
        try:
            return self.split["treatment"] / 10_000
        except NotFoundError:
            return 0.0

    def come(self, share):
        treated = int(self.rng.binomial(REQUESTS, share))
        for i, (name, n) in enumerate((("control", REQUESTS - treated), ("treatment", treated))):
            bad = int(self.rng.binomial(n, self.failed[i]))
            told = {"n": n, "done": int(self.rng.binomial(n, self.done[i])), "2xx": n - bad}
            for what, count in (told | {"5xx": bad}).items():
                self.counts[name, what] = self.counts.get((name, what), 0) + count

    def scrape(self):
        here = f'experiment="{self.experiment.name}",namespace="{self.experiment.namespace}"'
        with self.path.open("a") as file:
            for i, name in enumerate(("control", "treatment")):
                if not self.scraped[i]:
                    continue
                of = f'variant="{name}"'
                samples = [
                    f'ab_requests_total{{{of},{here},bucket="0",code="{code}"}} '
                    f"{self.counts[name, code]}"
                    for code in ("2xx", "5xx")
                ]
                samples += [f"{w}_total{{{of}}} {self.counts[name, w]}" for w in ("n", "done")]
                samples.append("process_start_time_seconds 1799999990")
                page = {"at": self.now, "job": "scrape", "instance": f"{name}:80"}
                file.write(json.dumps(page | {"samples": samples}) + "\n")

    def turns(self, most=200):
        """What the loop does until it ends; a turn each half a minute."""
        return list(itertools.islice(run(self.session(), 30.0), most))

    @property
    def split(self):
        return envoy.split_of(self.client.get(envoy.target(self.experiment)))

    @property
    def ledger(self):
        return ledger_of(self.client.get(ledger_ref(self.experiment)))

    @property
    def shares(self):
        """Of the treatment, as the ledger has them in effect one after the other."""
        return [e.after["treatment"] for e in self.ledger.entries if e.phase == "applied"]
