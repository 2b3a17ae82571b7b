"""What the cache keeps of counters, beside one array of numbers that it names by place."""

from collections.abc import Mapping

from abctl.forms import Form

# Part of the name of every file, so one of another format is never looked at; to be raised
# whenever an abctl of before must not use what is written.
FORMAT = 2

Place = tuple[int, ...]
"""Where an array begins among the numbers, and its shape."""
Target = tuple[tuple[str, str], ...]


class Group(Form):
    """The series of one selector at one target."""

    selector: str
    labels: tuple[Mapping[str, str], ...]
    settled: bool
    read: tuple[Place, Place]
    ends: tuple[Place, Place]
    drops: tuple[tuple[int, int, float], ...]
    whole: tuple[int, ...]


class SampleStore(Form):
    """What was read of the counters of an experiment; times in unix seconds."""

    interval_seconds: float
    begins: tuple[float, ...]
    edges: Place
    chunks: tuple[tuple[int, int], ...]
    scraped_until: float
    ranges: tuple[tuple[Target, tuple[tuple[float, float], ...]], ...]
    groups: tuple[Group, ...]
    starts: tuple[tuple[Mapping[str, str], Place, Place], ...]
    ups: tuple[tuple[Mapping[str, str], Place, Place], ...]
