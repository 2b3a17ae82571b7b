"""A real Envoy with the configuration that abctl ships, in front of listeners of the same Envoy."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from answering_envoy import AnsweringEnvoy, listeners
from api_server import HOST
from own_ports import free_ports

from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.platforms import envoy


class RealEnvoy(AnsweringEnvoy):
    """A running Envoy with the routes of an experiment."""

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        grpc: Mapping[str, tuple[str, int]] | None = None,
        collector: tuple[str, int] | None = None,
    ) -> None:
        self.experiment = experiment
        self._routes = folder / envoy.ROUTES_FILE
        port, admin, *behind = free_ports(2 + len(experiment.served))
        ports = dict(zip((v.name for v in experiment.served), behind, strict=True))
        bootstrap = envoy.bootstrap(
            experiment,
            listen=port,
            admin=admin,
            upstreams={name: (HOST, number) for name, number in ports.items()},
            routes_dir=str(folder),
            grpc=grpc,
            others=envoy.Others(collector=collector),
        )
        bootstrap["static_resources"]["listeners"] += listeners(ports)
        self._object = next(o for o in envoy.objects(experiment) if o["kind"] == "ConfigMap")
        self._routes.write_text(self._object["data"][envoy.ROUTES_FILE])
        super().__init__(folder, bootstrap, port, admin)

    def wait(self) -> None:
        """Wait until it answers."""
        self.until(lambda: self.get("/ready") == b"LIVE\n", "Envoy")

    def shift(self, split: Split) -> None:
        """Change the split as abctl does, and wait until Envoy has it."""
        before = self._reloads()
        self._object = envoy.with_split(self._object, split)
        new = self._routes.with_suffix(".new")
        new.write_text(self._object["data"][envoy.ROUTES_FILE])
        new.rename(self._routes)
        self.until(lambda: self._reloads() > before, f"the split {split}")

    def variants(self, users: Sequence[str]) -> list[str]:
        return [answer.variant for answer in self.ask([{"x-user-id": user} for user in users])]

    def _reloads(self) -> int:
        return self.count(f"rds.{self.experiment.name}.config_reload$")
