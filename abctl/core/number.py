"""Numbers as people write them: digits of ASCII, nothing between them.

Python also takes `6_4` and the digits of every script for numbers; who writes those has mistyped.
"""


def parse_whole(text: str | float) -> int:
    """`64` as a number.

    Raises:
        ValueError: the text is not a whole number.
    """
    return int(_plain(text))


def parse_number(text: str | float) -> float:
    """`0.05` as a number; `nan` and `inf` as well, which bounds are for.

    Raises:
        ValueError: the text is not a number.
    """
    return float(_plain(text))


def _plain(text: str | float) -> str:
    plain = str(text)
    if "_" in plain or not plain.isascii():
        raise ValueError(text)
    return plain
