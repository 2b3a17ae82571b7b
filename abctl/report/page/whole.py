"""A whole page: what a browser may do with it is nothing but to show it."""

import base64
import hashlib

from abctl import forms
from abctl.report.page.markup import Child, Markup, tag
from abctl.report.page.style import style

# What a page of abctl begins with: such a file may be written anew.
MARK = "<!doctype html>\n<!-- a report of abctl -->\n"


def policy() -> str:
    """What a browser may load and run: the style that stands in the page, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    only = f"style-src 'sha256-{digest}'"
    return f"default-src 'none'; {only}; base-uri 'none'; form-action 'none'"


def whole(title: str, *body: Child) -> str:
    """The text of a page.

    Args:
        title: of the window.
        body: what is in it.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy()),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=forms.author()),
        tag("title", title),
        Markup(f"<style>{style()}</style>"),
    )
    return f"{MARK}{tag('html', head, tag('body', body), lang='en').text}\n"
