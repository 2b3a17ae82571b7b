"""The pages: an overview of all experiments, and the report of each (pure)."""

from collections.abc import Sequence

from abctl.core.time import format_duration, format_moment
from abctl.errors import AbctlError
from abctl.report.page.markup import Child, Markup, table, tag
from abctl.report.page.page import page
from abctl.report.page.whole import whole
from abctl.ui.watched import Seen

PLACE = "/experiments/"
_HEAD = ("EXPERIMENT", "VERDICT", "SPLIT", "REQUESTS", "EVIDENCE UP TO", "WHY")


def overview(experiments: Sequence[tuple[str, Seen]], every_seconds: float) -> str:
    """All experiments, each with a link to its page.

    Args:
        experiments: the name of each, and what is known of it.
        every_seconds: how often the page comes anew.
    """
    rows = [_row(i, name, seen) for i, (name, seen) in enumerate(experiments, 1)]
    return whole(
        "Experiments",
        tag("header", tag("h1", "Experiments"), _anew(every_seconds)),
        tag("main", table("All that were named", _HEAD, rows, words=range(len(_HEAD)))),
    )


def experiment(name: str, seen: Seen, every_seconds: float, *, alone: bool) -> str:
    """The report of one, or why there is none.

    Args:
        name: as the user calls it.
        seen: what is known of it.
        every_seconds: how often the page comes anew.
        alone: whether there is no other.
    """
    back: list[Child] = [] if alone else [tag("a", "All experiments", href="/"), " · "]
    links = tag("nav", tag("p", back, _anew_words(every_seconds)), aria_label="Pages")
    above: list[Child] = [links]
    if seen.failure is not None:
        above.append(_failure(seen.failure, earlier=seen.found is not None))
    if (found := seen.found) is not None:
        return page(found.analysis, found.history, found.next_step, above)
    if seen.failure is None:
        above.append(tag("p", "It is being analyzed; this page comes anew by itself."))
    return whole(name, tag("main", tag("h1", name), above))


def refused(title: str, said: str) -> str:
    """A page that says why there is none."""
    return whole(title, tag("main", tag("h1", title), tag("p", said)))


def _row(number: int, name: str, seen: Seen) -> list[Child]:
    link = tag("a", name, href=f"{PLACE}{number}")
    if (found := seen.found) is None:
        if seen.failure is None:
            return [link, "being analyzed", *["-"] * 4]
        return [link, _verdict("error"), *["-"] * 3, seen.failure.message]
    said, known = found.verdict, found.analysis
    requests = sum(each.requests or 0.0 for each in known.variants)
    split = known.current_split or (known.epochs[-1].split if known.epochs else None)
    why = "; ".join(each.text for each in said.reasons)
    if seen.failure is not None:
        why = f"the last look failed: {seen.failure.message}"
    return [
        link,
        _verdict(said.kind, said.treatment),
        split.short if split else "-",
        f"{requests:,.0f}",
        format_moment(known.at, "seconds"),
        why,
    ]


def _verdict(kind: str, treatment: str | None = None) -> Markup:
    name = f"{kind.upper()} {treatment or ''}".rstrip()
    return tag("strong", name, class_=f"said {'invalid' if kind == 'error' else kind}")


def _failure(failure: AbctlError, *, earlier: bool) -> Markup:
    shown = "What follows is of an earlier look." if earlier else ""
    return tag(
        "section",
        tag("p", tag("strong", "ERROR")),
        tag("p", failure.message),
        tag("p", tag("b", "Hint: "), failure.hint),
        tag("p", shown) if shown else [],
        class_="verdict invalid",
        aria_label="Error",
    )


def _anew(every_seconds: float) -> Markup:
    return tag("p", _anew_words(every_seconds), class_="soft")


def _anew_words(every_seconds: float) -> list[Child]:
    how = f"comes anew every {format_duration(every_seconds)}"
    return [how, " (", tag("a", "leave it as it is", href="?still"), ")"]
