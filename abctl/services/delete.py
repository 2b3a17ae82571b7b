"""Take an experiment out of a cluster: its objects in reverse order, its ledger last."""

from collections.abc import Callable

from abctl.cluster import Door
from abctl.core.change import Ref
from abctl.core.epochs import ledger_ref
from abctl.core.experiment import Experiment
from abctl.platforms import Platform


def refs(platform: Platform, experiment: Experiment) -> list[Ref]:
    """What is deleted, in its order: what sends requests goes before what answers them."""
    objects = platform.objects(experiment)
    return [*(Ref.of(obj) for obj in reversed(objects)), ledger_ref(experiment)]


def delete(
    door: Door,
    platform: Platform,
    experiment: Experiment,
    report: Callable[[str], None],
    *,
    dry_run: bool = False,
) -> list[Ref]:
    """Delete everything, and give what was there; it may be repeated, what is gone is no error.

    A dry run asks the cluster whether it would.

    Raises:
        ClusterError: the cluster refuses; what was deleted before stays deleted.
    """
    deleted = list[Ref]()
    for ref in refs(platform, experiment):
        there = door.delete(ref, dry_run=dry_run)
        done = f"deleted{' (dry run)' if dry_run else ''}" if there else "was not there"
        report(f"{ref} {done}")
        deleted += [ref] if there else []
    return deleted
