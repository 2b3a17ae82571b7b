"""Tokens: what an answer hands out, so that feedback on it cannot be invented or moved.

A token says which variant answered whom, and when. It is signed, not secret: it holds nothing that
the answer's headers do not say, and of the unit only a keyed hash.

>>> keys = Keys(unit=b"u" * 32, signing={"a": b"s" * 32}, current="a")
>>> sent = keys.token(Answer("control", bucket="7", at_ms=1_700_000_000_000, unit="alice"))
>>> keys.read(sent).variant, keys.read(sent).bucket
('control', '7')
"""

import json
import os
import secrets
import struct
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from typing import NamedTuple

from ab_runtime.errors import StartError
from ab_runtime.variant import NO_BUCKET

HEADER = "x-ab-token"
PARAMETER = "ab_token"
SIGNATURE = "x-ab-signature"
"""The header of a message between a server and the collector."""
_VERSION = "1"
# Milliseconds, bucket, hash of the unit, what makes each answer different.
_FIELDS = struct.Struct(">QH8s8s")
_NO_BUCKET = 0xFFFF
_UNIT_BYTES = 8
_NO_UNIT = b"\0" * _UNIT_BYTES
_MAC_BYTES = 16
_LONGEST = 600
_KEY_BYTES = range(16, 65)
_FOR_URLS = bytes.maketrans(b"+/", b"-_")


def hashed(unit: str, key: bytes) -> bytes:
    """The keyed hash of a unit: in tokens, and in the log of predictions."""
    return blake2b(unit.encode("utf-8", "surrogatepass"), key=key, digest_size=_UNIT_BYTES).digest()


class TokenError(ValueError):
    """A token that is not ours, or was changed."""


class Answer(NamedTuple):
    """An answer, as the server knows it; `unit` is who asked."""

    variant: str
    bucket: str
    at_ms: int
    unit: str | None


@dataclass(frozen=True)
class Token:
    """What a token says: `unit` is a keyed hash in hex, None where nobody was assigned.

    `nonce` is different in every answer, also in two answers to one request.
    """

    variant: str
    bucket: str
    at_ms: int
    unit: str | None
    nonce: str


@dataclass(frozen=True)
class Keys:
    """The keys of an experiment: one that hashes units and never changes, and those that sign.

    Two may sign at a time, so that a new one can be handed out before the old one goes.
    """

    unit: bytes
    signing: Mapping[str, bytes]
    current: str

    @classmethod
    def from_file(cls, path: Path) -> "Keys":
        """Read `{"unit": HEX, "signing": {ID: HEX, ...}, "current": ID}`.

        Raises:
            StartError: unreadable, not of this form, or a key of less than 16 bytes. The message
                never holds a key.
        """
        try:
            found = json.loads(path.read_bytes())
            unit = bytes.fromhex(found["unit"])
            signing = {name: bytes.fromhex(key) for name, key in found["signing"].items()}
            current = found["current"]
        except OSError as error:
            raise StartError(f"AB_KEYS={path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StartError(
                f'AB_KEYS={path}: must be {{"unit": HEX, "signing": {{ID: HEX}}, "current": ID}}'
            ) from None
        if any(len(key) not in _KEY_BYTES for key in (unit, *signing.values())):
            raise StartError(f"AB_KEYS={path}: a key has 16 to 64 bytes (32 to 128 hex digits)")
        if current not in signing or not all(n.isalnum() and n.isascii() for n in signing):
            raise StartError(f"AB_KEYS={path}: current must be one of signing's ids (letters, 0-9)")
        return cls(unit, signing, current)

    @staticmethod
    def fresh() -> str:
        """A new file's content."""
        signing = {"a": secrets.token_hex(32)}
        return json.dumps({"unit": secrets.token_hex(32), "signing": signing, "current": "a"})

    def unit_hash(self, unit: str) -> str:
        """The keyed hash of a unit, in hex."""
        return hashed(unit, self.unit).hex()

    def token(self, answer: Answer) -> str:
        """The token of an answer."""
        return self.hashed_token(answer)[0]

    def hashed_token(self, answer: Answer) -> tuple[str, str]:
        """The token of an answer, and what it has for the unit, in hex (zeros: nobody).

        Every answer waits for it: hashes go on from where the key was put in.
        """
        variant, number, at_ms, unit = answer
        bucket = _NO_BUCKET if number == NO_BUCKET else int(number)
        who = _NO_UNIT
        if unit:
            hasher = self._of_units.copy()
            hasher.update(unit.encode("utf-8", "surrogatepass"))
            who = hasher.digest()
        body = _FIELDS.pack(at_ms, bucket, who, os.urandom(8)) + variant.encode()
        raw = b2a_base64(body + self._mac(self.current, body), newline=False)
        text = raw.translate(_FOR_URLS, b"=").decode()
        return f"{_VERSION}.{self.current}.{text}", who.hex()

    def read(self, token: str) -> Token:
        """What a token says.

        Raises:
            TokenError: not a token, of an unknown key, or changed.
        """
        version, _, rest = token.partition(".")
        key, _, text = rest.partition(".")
        if len(token) > _LONGEST or version != _VERSION or not token.isascii():
            raise TokenError("not a token of this version")
        if key not in self.signing:
            raise TokenError("signed with a key that is not known here")
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise TokenError("not a token") from None
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if len(body) <= _FIELDS.size or not compare_digest(mac, self._mac(key, body)):
            raise TokenError("not signed by this experiment")
        at_ms, bucket, unit, nonce = _FIELDS.unpack(body[: _FIELDS.size])
        return Token(
            variant=body[_FIELDS.size :].decode(),
            bucket=NO_BUCKET if bucket == _NO_BUCKET else str(bucket),
            at_ms=at_ms,
            unit=None if unit == _NO_UNIT else unit.hex(),
            nonce=nonce.hex(),
        )

    def sign(self, content: bytes) -> str:
        """The signature of a message between a server and the collector: `ID.HEX`."""
        return f"{self.current}.{self._mac(self.current, b'message:' + content).hex()}"

    def signed(self, content: bytes, signature: str) -> bool:
        """Whether a message has one of our signatures."""
        key, _, mac = signature.partition(".")
        known = key in self.signing and mac.isascii()
        return known and compare_digest(mac, self._mac(key, b"message:" + content).hex())

    def _mac(self, key: str, body: bytes) -> bytes:
        hasher = self._of_messages[key].copy()
        hasher.update(body)
        return hasher.digest()

    @cached_property
    def _of_units(self) -> blake2b:
        return blake2b(key=self.unit, digest_size=_UNIT_BYTES)

    @cached_property
    def _of_messages(self) -> dict[str, blake2b]:
        return {
            name: blake2b(f"{_VERSION}.{name}.".encode(), key=key, digest_size=_MAC_BYTES)
            for name, key in self.signing.items()
        }
