"""The Kubernetes objects of an experiment, as YAML for kubectl and GitOps."""

from collections.abc import Iterable

import yaml

from abctl import platforms
from abctl.core.change import Object
from abctl.core.collector import KEYS, is_made, keys_of
from abctl.core.experiment import Experiment
from abctl.platforms import require_admissible


def render(experiment: Experiment, *, baseline: bool = False) -> list[Object]:
    """The objects in the order in which they are applied; always the same ones.

    Args:
        experiment: with the split that it starts with.
        baseline: only what must be rolled out before the others are first applied.

    Raises:
        SpecError: the platform cannot express the experiment, or would refuse an object.
    """
    platform = platforms.platform(experiment.platform)
    objects = platform.baseline(experiment) if baseline else platform.objects(experiment)
    require_admissible(platform, objects)
    return objects


def needs_baseline(experiment: Experiment) -> bool:
    """Whether something must be rolled out before the objects are first applied."""
    return bool(platforms.platform(experiment.platform).baseline(experiment))


def keys_command(experiment: Experiment) -> str | None:
    """How people make the Secret with the collector's keys themselves; None where it needs none."""
    if not is_made(experiment):
        return None
    ref = keys_of(experiment)
    key = '"$(openssl rand -hex 32)"'
    text = f"""'{{"unit": "'{key}'", "signing": {{"a": "'{key}'"}}, "current": "a"}}'"""
    return (
        f"kubectl -n {ref.namespace} create secret generic {ref.name} --from-literal={KEYS}={text}"
    )


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
