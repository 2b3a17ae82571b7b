"""A report as a browser parses it, and what must be true of every one of them."""

import json
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element, tostring

import html5lib

Values = dict[str, Any]
_HEADINGS = ("h1", "h2", "h3", "h4")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_KNOWN = frozenset(
    [
        *("html", "head", "meta", "title", "style", "body", "a", "header", "h1", "h2", "h3", "p"),
        *("nav", "ul", "li", "main", "section", "strong", "b", "div", "code", "pre", "footer"),
        *("table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption"),
        *("details", "summary", "script", "svg", "desc", "polyline", "polygon", "line", "rect"),
        *("circle", "text"),
    ]
)


def parsed(text: str) -> Element:
    """The document; a mistake that browsers forgive is an error.

    Raises:
        html5lib.html5parser.ParseError: it is not as HTML has to be.
    """
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    found: Element = parser.parse(text)
    for each in found.iter():
        if isinstance(each.tag, str):
            each.tag = each.tag.rpartition("}")[2]
    return found


def said(element: Element) -> str:
    """All its text."""
    return "".join(element.itertext())


def values(page: Element) -> Values:
    """What the page has for machines."""
    (script,) = page.iter("script")
    found: Values = json.loads(script.text or "")
    return found


def require_sound(page: Element) -> None:
    """That anybody can read it, and that it asks nobody and runs nothing."""
    elements = [each for each in page.iter() if isinstance(each.tag, str)]
    assert {each.tag for each in elements} <= _KNOWN
    _require_harmless(elements)
    assert page.get("lang") == "en"
    for once in ("title", "h1", "header", "main", "footer", "nav"):
        assert [*page.iter(once)], once
    assert len(list(page.iter("h1"))) == len(list(page.iter("main"))) == 1
    names = [each.get("id") for each in elements if each.get("id")]
    assert len(names) == len(set(names))
    levels = [_HEADINGS.index(each.tag) for each in elements if each.tag in _HEADINGS]
    assert levels[0] == 0
    assert all(b <= a + 1 for a, b in pairwise(levels))
    for link in page.iter("a"):
        assert str(link.get("href"))[1:] in names
    for section in page.iter("section"):
        assert section.get("aria-label") or section.get("aria-labelledby") in names
    for table in page.iter("table"):
        _require_table(table)
    for figure in page.iter("figure"):
        assert figure[0].tag == "figcaption"
        assert said(figure[0])
        assert [*figure.iter("svg")]
        assert [*figure.iter("details")]
        assert [*figure.iter("table")]
    for svg in page.iter("svg"):
        _require_picture(svg)
    values(page)


def _require_harmless(elements: list[Element]) -> None:
    for each in elements:
        assert not [name for name in each.attrib if name.lower().startswith("on")]
        assert not {"src", "srcset", "action", "style", "data"} & set(each.attrib)
        assert str(each.get("href", "#"))[0] == "#"
    (style,) = [each for each in elements if each.tag == "style"]
    assert "url(" not in said(style)
    assert "@import" not in said(style)
    (script,) = [each for each in elements if each.tag == "script"]
    assert script.get("type") == "application/json"
    policies = [each for each in elements if each.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in str(policies[0].get("content"))


def _require_table(table: Element) -> None:
    assert table[0].tag == "caption"
    assert said(table[0])
    (head,) = table.iter("thead")
    columns = [*head.iter("th")]
    assert all(each.get("scope") == "col" for each in columns)
    (body,) = table.iter("tbody")
    for row in body:
        wide = sum(int(each.get("colspan", 1)) for each in row)
        assert wide == len(columns), tostring(row)
        assert row[0].get("scope") == "row" or row.get("class") == "below"


def _require_picture(svg: Element) -> None:
    assert svg.get("role") == "img"
    by = str(svg.get("aria-labelledby")).split()
    assert [each.get("id") for each in svg[:2]] == by
    assert all(said(each).strip() for each in svg[:2])
    _, _, width, height = map(float, str(svg.get("viewBox")).split())
    for x, y in _points(svg):
        assert math.isfinite(x)
        assert 0.0 <= x <= width
        assert math.isfinite(y)
        assert 0.0 <= y <= height


def _points(svg: Element) -> Iterator[tuple[float, float]]:
    for each in svg.iter():
        if places := each.get("points"):
            assert "nan" not in places
            assert "inf" not in places
            numbers = [float(number) for number in _NUMBER.findall(places)]
            yield from zip(numbers[::2], numbers[1::2], strict=True)
        for x, y in (("x", "y"), ("x1", "y1"), ("x2", "y2"), ("cx", "cy")):
            if each.get(x) is not None:
                yield float(str(each.get(x))), float(str(each.get(y)))
