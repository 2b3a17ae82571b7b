"""What keeps a variant from starting."""


class StartError(Exception):
    """The server must not become ready; the message says what is wrong and what to do."""
