"""The Kubernetes objects of an experiment, as YAML for kubectl and GitOps."""

from collections.abc import Iterable

import yaml

from abctl.core.change import Object
from abctl.core.experiment import Experiment
from abctl.platforms import platform, require_admissible


def render(experiment: Experiment, *, baseline: bool = False) -> list[Object]:
    """The objects in the order in which they are applied; always the same ones.

    Args:
        experiment: with the split that it starts with.
        baseline: only what must be rolled out before the others are first applied.

    Raises:
        SpecError: the platform cannot express the experiment, or would refuse an object.
    """
    carrier = platform(experiment.platform)
    objects = carrier.baseline(experiment) if baseline else carrier.objects(experiment)
    require_admissible(carrier, objects)
    return objects


def needs_baseline(experiment: Experiment) -> bool:
    """Whether something must be rolled out before the objects are first applied."""
    return bool(platform(experiment.platform).baseline(experiment))


def to_yaml(objects: Iterable[Object]) -> str:
    """One document for each object; keys stay in their order, texts of several lines are blocks."""
    documents = (yaml.dump(dict(obj), Dumper=_Dumper, sort_keys=False) for obj in objects)
    return "---\n".join(documents)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Safe YAML as people write it; in C where that is there, which is ten times as fast."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the parent's
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
