"""Sources that hold all of their series, as made-up worlds do."""

from collections.abc import Iterable

from abctl.core.selector import Selector
from abctl.sources import Series


def held(found: Iterable[Series], selector: str, start: float, end: float) -> list[Series]:
    """The samples in (start, end] of the series that a selector finds, where there are any."""
    wanted = Selector.parse(selector)
    return [
        Series(s.labels, s.times[inside], s.values[inside])
        for s in found
        if s.labels.get("__name__") == wanted.name
        and wanted.matches(s.labels)
        and (inside := (s.times > start) & (s.times <= end)).any()
    ]
