"""Variants that cannot answer now, and why."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from abctl.errors import ClusterError
from abctl.services.place import Place
from abctl.services.tree import Tree, tree


def unable(place: Place) -> Mapping[str, str]:
    """Every variant of the experiment that cannot answer, with the reason in words."""
    found = of_servers(place.ready, place.experiment.split.names)
    if place.state is None:
        with suppress(ClusterError):
            found |= of_tree(_tree(place))  # which says more
    return found


def of_servers(ready: Callable[[str], bool | str], names: Iterable[str]) -> dict[str, str]:
    """Of what each variant's server says; all are asked at once, as a dead one takes its time."""

    def lacking(name: str) -> str:
        try:
            said = ready(name)
        except ClusterError as error:
            return error.message
        return "" if said is True else said or "it is not ready"

    names = tuple(names)
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        found = zip(names, pool.map(lacking, names), strict=True)
        return {name: why for name, why in found if why}


def of_tree(found: Tree) -> dict[str, str]:
    """Of what the objects below the one that carries the split say."""
    return {b.name: b.why for b in found.branches if b.role == "variant" and b.why}


def _tree(place: Place) -> Tree:
    carrier = place.door.get(place.platform.target(place.experiment))
    objects = [] if place.adopted else place.platform.objects(place.experiment)
    return tree(place.door, place.platform, place.experiment, carrier, objects)
