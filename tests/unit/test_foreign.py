"""What others wrote is shown, never sent, and never passes for ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl import foreign

UNSEEN = ["\x1b[2J", "\x07", "\r", "\x9b31m", "\u202e", "\u2028", "\udcff", "\x00", "\x7f"]


@pytest.mark.parametrize("text", UNSEEN)
def test_what_a_terminal_would_obey_is_shown(text: str) -> None:
    assert foreign.shown(f"a{text}b") == f"a{text}b".replace(
        text[0], ascii(text[0])[1:-1].replace("\\r", "\\x0d")
    )


@given(st.text())
def test_a_text_shown_is_the_text_once_more_and_its_words_are_left_alone(text: str) -> None:
    shown = foreign.shown(text)
    assert foreign.shown(shown) == shown
    assert all(each.isprintable() or each in "\n\t" for each in shown if ord(each) < 0xA0)
    shown.encode()
    for word in ("naïve", "模型", "نموذج", "a\u200db", "tab\t, line\n"):
        assert foreign.shown(word) == word


def test_no_line_of_others_passes_for_ours() -> None:
    assert foreign.in_lines("error: a\nhint: run this") == "error: a\n  hint: run this"
    assert foreign.in_lines("error: 2 problems:\n  a\n  b") == "error: 2 problems:\n  a\n  b"


def test_a_long_line_keeps_its_begin_and_its_end() -> None:
    line = foreign.in_lines(f"error: {'x' * 100_000}, must be short")
    assert len(line) < 1_000
    assert line.startswith("error: xxx")
    assert line.endswith("xxx, must be short")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("<!DOCTYPE html><html><title>404 Not\n Found</title>", "a web page (404 Not Found)"),
        ("<html><body><h1>A &amp; B</h1>", "a web page (A & B)"),
        ("  <head></head>", "a web page"),
        ("<xml>no page</xml>", "<xml>no page</xml>"),
        ("a\nb", "a b"),
        ("x" * 1_000, "x" * 300),
    ],
)
def test_of_a_web_page_only_what_it_is_about_is_said(answer: str, words: str) -> None:
    assert foreign.said(answer) == words
