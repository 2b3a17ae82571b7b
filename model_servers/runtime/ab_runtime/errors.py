"""What keeps a variant from starting, and what a client is told."""

_MOST_CHARACTERS = 500


class StartError(Exception):
    """The server must not become ready; the message says what is wrong and what to do."""


def cut(text: str) -> str:
    """A reason that a client gets: it never repeats what was sent at length."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}... ({len(text)} characters)"
