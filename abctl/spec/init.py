"""Writes a first experiment file, with comments, and the schema for editors next to it."""

from importlib.resources import files
from pathlib import Path

from abctl import spec
from abctl.errors import UsageError
from abctl.files import replace
from abctl.platforms import platform
from abctl.spec import schema
from abctl.spec.fields import EXPERIMENT_NAME, UnfitError

SCHEMA_FILE = "experiment.schema.json"
_BY_USER = """\
  assignment:
    unit: user                # request | user | cohort
    key: x-user-id            # the request header that holds the id
    salt: {name}-1
    buckets: 64               # groups of users, between which variances are taken
    # override: x-ab-variant  # lets any client that sends it force a variant
    # cohorts:                # the first rule that fits counts, before the split
    #   - {{header: x-cohort, value: beta, variant: treatment}}
    #   - {{header: x-country, value: DE, split: 50/50}}
"""
_HASH = """\
    hash: {hash}               # or {others}: see `abctl assign`
"""
_BY_REQUEST = """\
  # {platform} draws every request anew, so no user keeps a variant.
  assignment:
    unit: request
"""
_ENTRANCE = """
  # Where requests come in.
  entrance: {gateway: gateways/public, host: iris.example.com}
"""
_IMAGE, _STORED = 'image: "abctl/iris:', 'format: sklearn, uri: "gs://models/iris/'
# The platform's own servers do not have the counters of abctl's runtime.
_OF_ITS_OWN = """\
      selectors:              # counters of your own: the platform knows of no feedback
        "n": 'iris_feedback_total{model="$upstream"}'
        successes: 'iris_feedback_total{model="$upstream",correct="true"}'
"""
_EFFECT, _LATENCY = "the smallest effect worth finding\n", "    - {name: latency,"
_SETTLE = "    settle: 1m                # left out after every change of the split"
_SETTLE_SOON = """\
    # Left out after every change of the split. A shift waits until the split is in effect, so only
    # what was on its way and a scrape remain. A cluster may need more: abctl doctor says so.
    settle: 10s"""
_PROMETHEUS = "source: {prometheus: {url: http://prometheus:9090}}\n"


def starter(name: str, platform_name: str) -> str:
    """The text of a first experiment file, which is one that `load` accepts.

    Raises:
        UsageError: no such platform, or a name that no experiment can have.
    """
    can = platform(platform_name).CAPABILITIES
    text = starter_text(name, platform_name)
    if not can.images:
        text = text.replace(_IMAGE, _STORED).replace(_EFFECT, _EFFECT + _OF_ITS_OWN)
        text = text.replace(
            _LATENCY, f"    # Its counters have no latency.\n    # {_LATENCY.strip()}"
        )
    spec.parse(text, "the new file")
    return text


def starter_text(name: str, platform_name: str, **parts: str) -> str:
    """The text of a first experiment file; `parts` take the place of its `variants` and `metrics`.

    Raises:
        UsageError: as for `starter`.
    """
    can = platform(platform_name).CAPABILITIES
    try:
        EXPERIMENT_NAME.parse(name)
    except UnfitError as error:
        raise UsageError(f"--name {error}", "--name iris") from None
    if platform_name == "envoy":
        settle = _SETTLE_SOON
        source = f"  # The local stack fills this in; a cluster needs it.\n  # {_PROMETHEUS}"
    else:
        settle = _SETTLE
        source = f"  # Where the evidence is.\n  {_PROMETHEUS}"
    rules = (_BY_USER if can.sticky else _BY_REQUEST).format(name=name, platform=platform_name)
    if can.sticky and not can.override:
        rules = rules.partition("    # override")[0]
    if can.hashes:
        rules += _HASH.format(hash=can.hashes[0], others=", ".join(can.hashes[1:]))
    rules += _ENTRANCE if can.entrance else ""
    text = (files("abctl.spec") / "starter.yaml").read_text(encoding="utf-8")
    known = {_SETTLE: settle, "PLATFORM": platform_name, "name: NAME": f"name: {name}"}
    for word, value in {**known, "ASSIGNMENT\n": rules, "SOURCE\n": source}.items():
        text = text.replace(word, value)
    for key, lines in parts.items():
        before, _, rest = text.partition(f"  {key}:\n")
        text = f"{before}{lines}\n" + rest.partition("\n\n")[2]
    return text


def init(path: Path, name: str, platform_name: str, *, force: bool = False) -> list[Path]:
    """Write a first experiment file and, where it is not there yet, the schema; what was written.

    Raises:
        UsageError: the file exists (and not `force`), no such platform, a name that no experiment
            can have, or it cannot be written.
    """
    text = starter(name, platform_name)
    require_new(path, force=force)
    return with_schema(path, text)


def require_new(path: Path, *, force: bool) -> None:
    """Make sure that a file can be written without a loss.

    Raises:
        UsageError: it exists (and not `force`), or is a folder.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", f"name a file in it: {path / 'experiment.yaml'}")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already", "another name, or --force to overwrite it")


def with_schema(path: Path, text: str) -> list[Path]:
    """Write an experiment file and, where it is not there yet, the schema; what was written.

    Raises:
        UsageError: it cannot be written.
    """
    beside = path.with_name(SCHEMA_FILE)
    texts = {path: text} if beside.exists() else {path: text, beside: schema.text()}
    for file, content in texts.items():
        replace(file, content)
    return list(texts)
