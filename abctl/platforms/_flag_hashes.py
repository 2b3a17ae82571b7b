"""How flag services place a unit: their hashes, by the text "salt:unit".

MurmurHash3 (Appleby, 2011; 32 bits) as flagd uses it. Since core 0.15 flagd hashes the bytes of the
text; the Python provider since 0.6 hashes the text as CBOR (RFC 8949) writes it. The two place a
unit as if drawn independently.
"""

import struct

from abctl.core.assignment import Place, hashed, place_at
from abctl.core.experiment import Assignment
from abctl.core.split import TOTAL_BP, Split

_TOP = 0xFFFFFFFF
_ONE, _TWO = 0xCC9E2D51, 0x1B873593
# CBOR's type of a text, and below which lengths it is written in no, one or two bytes of its own.
_CBOR_TEXT = 0x60
_IN_HEAD, _IN_ONE, _IN_TWO = 24, 256, 65536


def murmur3(data: bytes, seed: int = 0) -> int:
    """The hash of some bytes, from 0 to 2^32 - 1.

    >>> murmur3(b"hello"), murmur3(b"", 1)
    (613153351, 1364076727)
    """
    found, whole = seed, len(data) // 4 * 4
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        found ^= _mixed(word)
        found = (_turned(found, 13) * 5 + 0xE6546B64) & _TOP
    if rest := data[whole:]:
        found ^= _mixed(int.from_bytes(rest, "little"))
    found ^= len(data)
    found = (found ^ found >> 16) * 0x85EBCA6B & _TOP
    found = (found ^ found >> 13) * 0xC2B2AE35 & _TOP
    return found ^ found >> 16


def _mixed(word: int) -> int:
    return _turned(word * _ONE & _TOP, 15) * _TWO & _TOP


def _turned(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & _TOP


def cbor(text: bytes) -> bytes:
    r"""A short text as CBOR writes it: its type and length, then its bytes.

    >>> cbor(b"ann"), cbor(bytes(24))[:2], cbor(bytes(256))[:3]
    (b'cann', b'x\x18', b'y\x01\x00')

    Raises:
        ValueError: 65 536 bytes or more, which no id has.
    """
    size = len(text)
    if size < _IN_HEAD:
        return bytes((_CBOR_TEXT + size,)) + text
    if size < _IN_ONE:
        return bytes((_CBOR_TEXT + 24, size)) + text
    if size < _IN_TWO:
        return bytes((_CBOR_TEXT + 25,)) + size.to_bytes(2, "big") + text
    raise ValueError(f"{size} bytes, must be below {_IN_TWO}")


def flagd(rules: Assignment, split: Split, unit: str) -> Place:
    """Where flagd places a unit, by the hash of `assignment.hash`."""
    text = hashed(f"{rules.salt}:{unit}")
    found = murmur3(cbor(text) if rules.hash == "flagd-cbor" else text)
    return place_at(split, found * TOTAL_BP >> 32)
