"""Selectors of one's own: what the analysis could not read is refused in the file (pure)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from abctl.core.selector import NUMERIC, Selector
from abctl.errors import SourceError
from abctl.metrics.queries import fill
from abctl.spec.shape import Place, Problem

if TYPE_CHECKING:
    from abctl.spec._file import Metric, Spec

# What PromQL has besides, by how it looks once texts in quotes are gone.
_MORE: Mapping[str, str] = {
    r"\b(sum|avg|min|max|count|topk|bottomk|quantile|group|stddev|stdvar|count_values)\b\s*"
    r"((by|without)\s*\([^)]*\)\s*)?\(": "an aggregation",
    r"[a-zA-Z_]\w*\s*\(": "a function",
    r"\[[^\]]*:": "a subquery",
    r"\[": "a range",
    r"\boffset\b": "an offset",
    r"@": "a moment (@)",
    r"\b(or|and|unless)\b": "two selectors",
    r"(?<![=!])[-+*/%^<>](?!=?~)|==": "arithmetic",
    r"[`']": "single quotes",
}
_SELECTOR = 'a selector is name{label="$variant"}, without functions: abctl takes increments itself'
# What Python has in regular expressions, and PromQL has not.
_FOREIGN = re.compile(r"\(\?(=|!|<=|<!|P=|\(|>)|\\[1-9]")
_OF_BUCKETS = "histogram"


def problems(spec: "Spec") -> Iterator[Problem]:
    """What is wrong with the selectors of the metrics of a file."""
    for i, metric in enumerate(spec.metrics):
        for part, text in metric.selectors.items():
            place: Place = ("spec", "metrics", i, "selectors", part)
            found = list(_of_one(place, metric, part, text, spec))
            yield from found[:1]


def _of_one(
    place: Place, metric: "Metric", part: str, text: str, spec: "Spec"
) -> Iterator[Problem]:
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    outside = re.sub(r"\{[^{}]*\}", "{}", bare)
    for pattern, what in _MORE.items():
        if re.search(pattern, outside if what != "single quotes" else bare):
            yield Problem(place, f"{text!r} has {what}", _SELECTOR)
            return
    try:
        by_variant = {
            variant.name: Selector.parse(fill(text, names))
            for variant, names in zip(spec.variants, _names(metric, spec), strict=True)
        }
    except SourceError as error:
        yield Problem(place, error.message, error.hint)
        return
    first = next(iter(by_variant.values()))
    yield from _matchers(place, first, part)
    for (one, its), (other, others) in combinations(by_variant.items(), 2):
        if its == others or _overlap(text, spec, one, other, metric):
            message = f"{text!r} finds the same series for {one} and {other}"
            yield Problem(place, message, 'tell variants apart: {variant="$variant"}')


def _names(metric: "Metric", spec: "Spec") -> list[dict[str, tuple[str, ...]]]:
    return [
        {
            "variant": (variant.name,),
            "upstream": (f"upstream-of-{variant.name}",),
            "experiment": ("experiment",),
            "namespace": ("namespace",),
            "model": (variant.model.name,),
            "version": (variant.model.version,),
            "outcome": (metric.of,),
        }
        for variant in spec.variants
    ]


def _matchers(place: Place, found: Selector, part: str) -> Iterator[Problem]:
    """What a selector asks of labels."""
    by_label: dict[str, list[tuple[str, str]]] = {}
    for label, operator, value in found.matchers:
        by_label.setdefault(label, []).append((operator, value))
        if label == "__name__":
            yield Problem(place, f"{operator} on the name of a metric", _SELECTOR)
        if "~" in operator and _FOREIGN.search(value):
            message = f"{value!r}: PromQL's regular expressions have no such group"
            yield Problem(place, message, 'name{label=~"a|b.*"} is one')
    for label, asked in by_label.items():
        for value in (value for operator, value in asked if operator == "="):
            one = Selector(found.name, tuple((label, *each) for each in asked))
            if not one.matches({"__name__": found.name, label: value}):
                told = ", ".join(f'{label}{operator}"{v}"' for operator, v in asked)
                yield Problem(place, f"{told}: no series has both", "remove one of them")
                break
    yield from _edges(place, found, part)


def _edges(place: Place, found: Selector, part: str) -> Iterator[Problem]:
    """Buckets of a histogram are cumulative: of a sum over several of them nothing follows."""
    label = NUMERIC[0]
    chosen = [operator for name, operator, _ in found.matchers if name == label]
    if part == _OF_BUCKETS and chosen:
        yield Problem(place, f"chooses {label}, must have every bucket", f"remove {label}")
    if part != _OF_BUCKETS and found.name.endswith("_bucket") and "=" not in chosen:
        message = f"{found.name} without {label} counts a request once in each bucket"
        yield Problem(place, message, f'{label}="0.5" counts those up to half a second')


def _overlap(text: str, spec: "Spec", one: str, other: str, metric: "Metric") -> bool:
    """Whether what tells variants apart also fits the other one's own names."""
    names = dict(zip((v.name for v in spec.variants), _names(metric, spec), strict=True))
    telling = [
        found
        for found in re.finditer(r'(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"', text)
        if re.search(r"\$(variant|upstream|version|model)\b", found[2])
    ]

    def fits(mine: Sequence[re.Match[str]], whose: str, of: str) -> bool:
        for found in mine:
            selector = Selector.parse(fill(f'a{{b{found[1]}"{found[2]}"}}', names[whose]))
            value = re.sub(r"\$([a-z]+)", lambda f: names[of][f[1]][0], found[2])
            plain = re.fullmatch(r"[.*+?()|\\^$\[\]]*(.*?)[.*+?()|\\^$\[\]]*", value)
            if not selector.matches({"__name__": "a", "b": plain[1] if plain else value}):
                return False
        return bool(mine)

    return fits(telling, one, other) or fits(telling, other, one)
