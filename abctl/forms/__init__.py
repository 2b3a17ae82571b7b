"""What is written and read again, as types of msgspec with a version each (pure).

A form is apart from what it stands for: forms -> domain and back. It says only what abctl reads;
what a newer one of the same version has added besides is kept, and written again as it was. A form
of a newer version is refused in words. What a form has come to hold later has a default: what the
abctl of then meant without it.

msgspec has no fields for what it does not know, so `unknown` finds them by comparison.
"""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from abctl.errors import AbctlError
from abctl.version import __version__

Unknown = Mapping[tuple[str | int, ...], Any]
"""Fields that no form knows, by their places in a document."""


class Form(msgspec.Struct):
    """A mapping of a document. Unlike what it stands for, it is never handed on."""


class DamagedError(Exception):
    """A document that is not what its form says, with the place."""


F = TypeVar("F", bound=Form)
D = TypeVar("D")


def form_of(plain: Any, form: type[F], place: str = "", **hooks: Any) -> F:
    """The form of plain data.

    Args:
        plain: what was read.
        form: which one it must be.
        place: of the data, for errors.
        hooks: for types that are no plain data; see `msgspec.convert`.

    Raises:
        DamagedError: it is not that form, with the place.
    """
    try:
        found: F = msgspec.convert(plain, form, **hooks)
    except (ValueError, OverflowError, RecursionError) as error:
        what, _, below = str(error).partition(" - at `$")
        where = f"{place}{below.rstrip('`')}".lstrip(".")
        raise DamagedError(f"{where}: {what}" if where else what) from None
    return found


def domain_of(form: Any, domain: type[D], place: str = "") -> D:
    """What a form stands for, where both have the same fields.

    Raises:
        DamagedError: the domain has no such thing.
    """
    try:
        return msgspec.convert(form, domain, from_attributes=True)
    except (AbctlError, ValueError) as error:
        raise DamagedError(f"{place}: {error}".removeprefix(": ")) from None


def like(domain: Any, form: type[F]) -> F:
    """The form of what has the same fields."""
    found: F = msgspec.convert(domain, form, from_attributes=True)
    return found


def plain_of(form: Any, hook: Callable[[Any], Any] | None = None) -> Any:
    """A form as it is written: mappings, lists and scalars.

    Numbers that are none (infinities, NaN) have no place in a form but for arrays.

    Args:
        form: what is written.
        hook: gives what stands for a value that is no plain data.
    """
    return msgspec.json.decode(msgspec.json.encode(form, enc_hook=hook or number))


def number(value: Any) -> float:
    """What stands for a number of numpy, of which msgspec knows nothing."""
    if isinstance(value, float):
        return float(value)
    raise NotImplementedError(f"{type(value)} has no form")


def unknown(document: Any, known: Any) -> Unknown:
    """The fields of a document that are not among those that are known of it, with their places.

    Args:
        document: as it was read.
        known: the same as its form writes it.
    """
    found: dict[tuple[str | int, ...], Any] = {}
    _gather(document, known, (), found)
    return found


def _gather(document: Any, known: Any, place: tuple[str | int, ...], found: dict[Any, Any]) -> None:
    if document == known:
        return
    if isinstance(document, dict) and isinstance(known, dict):
        for key, value in document.items():
            if key in known:
                _gather(value, known[key], (*place, key), found)
            else:
                found[*place, key] = value
    elif isinstance(document, list) and isinstance(known, list):
        for i, (one, other) in enumerate(zip(document, known, strict=False)):
            _gather(one, other, (*place, i), found)


def with_unknown(document: Any, kept: Unknown) -> Any:
    """A fresh document, with what others have added where it was; gives the document."""
    for (*way, last), value in kept.items():
        at = document
        for step in way:
            if not (step in at if isinstance(at, dict) else _is_in(at, step)):
                break  # what it was of is gone
            at = at[step]
        else:
            if isinstance(at, dict):
                at.setdefault(last, value)
    return document


def _is_in(items: Any, place: str | int) -> bool:
    return isinstance(items, list) and isinstance(place, int) and place < len(items)


def require_known(
    place: str, version: object, known: int, author: object, error: type[AbctlError]
) -> None:
    """Make sure that a form is none of a newer abctl.

    Args:
        place: of the form, for the error.
        version: of the form, as it says.
        known: the newest version that this abctl reads.
        author: the abctl that wrote it, as it says; None where it does not.
        error: the kind of the error.

    Raises:
        AbctlError: of that kind: it is newer.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version > known:
        refuse_newer(place, f"format {version}", f"format {known}", author, error)


def refuse_newer(
    place: str, written: str, known: str, author: object, error: type[AbctlError]
) -> NoReturn:
    """Say that a form is of a newer abctl; see `require_known`.

    Raises:
        AbctlError: always.
    """
    by = author if isinstance(author, str) else "something else"
    newer = by if isinstance(author, str) else "the one that wrote it"
    raise error(
        f"{place}: written by {by} as {written}, this abctl ({__version__}) reads {known}",
        f"use a newer abctl: {newer}",
    )


def author() -> str:
    """Who writes a form, for its error should it be newer than a reader."""
    return f"abctl {__version__}"
