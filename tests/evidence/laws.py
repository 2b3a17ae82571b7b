"""How many examples a law is tried on: fixed ones, few of them, or 500 new ones each night."""

from typing import Any

from hypothesis import settings

_USUAL = 100  # of hypothesis, and of the profile that is the default


def law(usual: int, **more: Any) -> settings:
    """So many examples; at most as many as a smaller profile has, at least those of a larger one.

    What a test says itself would otherwise go before the profile.
    """
    profile = settings().max_examples
    if profile < _USUAL:
        usual = min(usual, profile)
    elif profile > _USUAL:
        usual = max(usual, profile)
    return settings(max_examples=usual, **more)
