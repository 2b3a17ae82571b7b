"""HTML and SVG as text: whatever is not made here is escaped, so that nothing foreign is markup."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abctl.foreign import shown

_EMPTY = frozenset(("circle", "line", "meta", "path", "polygon", "polyline", "rect"))
_VOID = frozenset(("meta",))
# What could end the element that the JSON stands in, or begin another one.
_IN_SCRIPT = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Markup:
    """Text that is markup already; only this module makes it of foreign text."""

    text: str


Child = Markup | str | Iterable["Child"]


def escaped(text: str) -> str:
    r"""The text as it can stand between tags or in quotes; what nobody sees as `\x1b`."""
    return html.escape(shown(text), quote=True)


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """An element.

    Args:
        name: of the element.
        children: what is in it: text is escaped.
        attributes: `class_` is class, `aria_label` is aria-label; those that are None are left out.
    """
    said = "".join(
        f' {_attribute(key)}="{escaped(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Markup(f"<{name}{said}>" if name in _VOID else f"<{name}{said}/>")
    return Markup(f"<{name}{said}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> str:
    """What stands between two tags."""
    return "".join(_child(each) for each in children)


def _child(child: Child) -> str:
    if isinstance(child, Markup):
        return child.text
    return escaped(child) if isinstance(child, str) else joined(child)


def _attribute(key: str) -> str:
    kept = {"viewBox", "preserveAspectRatio"}
    return key if key in kept else key.strip("_").replace("_", "-")


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[Child]], *, words: Iterable[int] = ()
) -> Markup:
    """A table that can be scrolled by the keyboard; the first cell of a row is what it is about.

    Args:
        caption: what it is of; a screen reader says it first.
        head: the names of the columns.
        rows: their cells.
        words: columns that are of words; the others are of numbers, but for the first.
    """
    of_words = {0, *words}
    kinds = [None if i in of_words else "n" for i in range(len(head))]
    named = zip(head, kinds, strict=True)
    columns = tag("tr", (tag("th", name, scope="col", class_=kind) for name, kind in named))
    body = (
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            (tag("td", each, class_=k) for each, k in zip(row[1:], kinds[1:], strict=True)),
        )
        for row in rows
    )
    whole = tag("table", tag("caption", caption), tag("thead", columns), tag("tbody", body))
    return scrolled(caption, whole)


def scrolled(label: str, what: Markup) -> Markup:
    """What may be wider than the screen."""
    return tag("div", what, class_="scroll", tabindex="0", role="region", aria_label=label)


def folded(title: str, *children: Child) -> Markup:
    """What is to be seen when it is asked for."""
    return tag("details", tag("summary", title), children)


def data(name: str, document: Mapping[str, Any]) -> Markup:
    """A document as JSON that no browser runs and no text of it can leave."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    kind = 'type="application/json"'
    return Markup(f'<script {kind} id="{escaped(name)}">{text.translate(_IN_SCRIPT)}</script>')
