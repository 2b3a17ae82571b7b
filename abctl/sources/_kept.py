"""What is known of counters, as two arrays, and back (pure)."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abctl.sources import Series
from abctl.sources._group import Group
from abctl.sources._increase import Array
from abctl.sources._knowledge import Knowledge
from abctl.sources._targets import target_of


def arrays_of(known: Knowledge, cells: int) -> Mapping[str, NDArray[Any]]:
    """What is known up to the end of some cells; no chunk that is not settled may go beyond it."""
    end = float(known.edges[cells])
    numbers: list[Array] = []
    size = 0

    def lay(array: NDArray[Any]) -> list[int]:
        """Where an array is among the numbers, and its shape."""
        nonlocal size
        numbers.append(array.astype(np.float64).ravel())
        size += array.size
        return [size - array.size, *array.shape]

    def plain(series: Series) -> list[Any]:
        soon = series.times <= end
        return [dict(series.labels), lay(series.times[soon]), lay(series.values[soon])]

    groups = []
    for (selector, target), group in known.groups.items():
        times, samples = group.read.whole(len(group.labels))
        ended, last = group.lasts()
        read, over = times <= end, ended < cells
        groups.append(
            {
                "selector": selector,
                "labels": [dict(each) for each in group.labels],
                "settled": target in known.settled,
                "read": [lay(times[read]), lay(samples[:, read])],
                "ends": [lay(ended[over]), lay(last[:, over])],
                "drops": [drop for drop in group.drops if known.chunks[drop[0]][1] <= cells],
                "whole": [cell for cell in sorted(group.whole) if cell < cells],
            }
        )
    text = {
        "interval_seconds": known.interval_seconds,
        "begins": [begin for begin in known.begins if begin <= end],
        "edges": lay(known.edges[: cells + 1]),
        "chunks": [chunk for chunk in known.chunks if chunk[1] <= cells],
        "scraped_until": min(known.scraped_until, end),
        "ranges": [
            [target, [[start, min(last, end)] for start, last in ranges if start < end]]
            for target, ranges in known.ranges.items()
        ],
        "groups": groups,
        "starts": [plain(each) for each in known.starts.values()],
        "ups": [plain(each) for each in known.ups.values()],
    }
    return {
        "text": np.frombuffer(json.dumps(text).encode(), np.uint8),
        "numbers": np.concatenate(numbers),
    }


def knowledge_of(arrays: Mapping[str, NDArray[Any]]) -> Knowledge:
    """The same as it was."""
    text, numbers = json.loads(arrays["text"].tobytes()), arrays["numbers"]

    def array(place: list[int]) -> Array:
        at, *shape = place
        found: Array = numbers[at : at + int(np.prod(shape))]
        return found.reshape(shape)

    known = Knowledge(
        text["interval_seconds"],
        text["begins"],
        array(text["edges"]),
        [(first, last) for first, last in text["chunks"]],
    )
    for name, found in (("starts", known.starts), ("ups", known.ups)):
        for labels, times, values in text[name]:
            found[target_of(labels)] = Series(labels, array(times), array(values))
    known.scraped_until = text["scraped_until"]
    for target, ranges in text["ranges"]:
        key = tuple((name, value) for name, value in target)
        known.ranges[key] = [(start, end) for start, end in ranges]
    for each in text["groups"]:
        target = target_of(each["labels"][0])
        group = known.groups[each["selector"], target] = Group(each["labels"])
        rows = np.arange(len(group.labels))
        for table, (at, values) in ((group.read, each["read"]), (group.ends, each["ends"])):
            table.add(array(at), array(values), rows)
        group.drops = [(chunk, row, number) for chunk, row, number in each["drops"]]
        group.whole = set(each["whole"])
        if each["settled"]:
            known.settled.add(target)
    return known
