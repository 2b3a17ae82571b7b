"""Which variant this server is, read from environment variables, and whose request is whose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import xxhash

from ab_runtime.errors import StartError
from ab_runtime.feedback import BLANKS

NO_BUCKET = "none"
RANDOMIZED = "x-ab-randomized"
KINDS = ("binary", "number", "amount")
_MAX_BUCKETS = 10_000
_MAX_BYTES = 2**31 - 1  # gRPC's own


@dataclass(frozen=True)
class Variant:
    """What the experiment says about this server.

    `key` is the (lower-case) request header that names the unit; `outcomes` are the only ones that
    feedback may report, each with what it is: `binary` (0 or 1), `number` or `amount` (never
    negative). `models` are the names of the models that are the variant's (None: all of
    the server). `randomized` is what holds where the router does not say.
    """

    name: str
    salt: str
    buckets: int = 64
    key: str = "x-user-id"
    outcomes: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] | None = None
    randomized: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Variant":
        """Read AB_VARIANT, AB_SALT, AB_BUCKETS (64), AB_KEY (x-user-id), AB_OUTCOMES (none).

        AB_KINDS (none) says of outcomes what they are: `click=binary,revenue=number`. AB_MODELS
        (all) names those of the server's models that are the variant's. AB_RANDOMIZED (false) is
        true behind routers that draw every request and cannot say so.

        Raises:
            StartError: AB_VARIANT or AB_SALT is missing, AB_VARIANT cannot stand in a header,
                AB_BUCKETS is no number from 1 to 10 000, an outcome or a model is empty or there
                twice, a kind is unknown or that of no outcome, AB_RANDOMIZED is neither true nor
                false.
        """
        name = _required(environment, "AB_VARIANT", "the variant's name, for example treatment")
        if not (name.isascii() and name.isprintable()):
            raise StartError(f"AB_VARIANT={name!r}, must be plain ASCII: it is sent in a header")
        buckets = environment.get("AB_BUCKETS", str(cls.buckets))
        if not (buckets.isdecimal() and 1 <= int(buckets) <= _MAX_BUCKETS):
            raise StartError(f"AB_BUCKETS={buckets!r}, must be from 1 to {_MAX_BUCKETS}")
        randomized = _flag(environment, "AB_RANDOMIZED")
        outcomes = _names(environment, "AB_OUTCOMES")
        return cls(
            name=name,
            salt=_required(environment, "AB_SALT", "the experiment's assignment.salt"),
            buckets=int(buckets),
            key=environment.get("AB_KEY", cls.key).lower(),
            outcomes=dict.fromkeys(outcomes, "number") | _kinds(environment, outcomes),
            models=_names(environment, "AB_MODELS") or None,
            randomized=randomized,
        )

    @property
    def bucket_labels(self) -> tuple[str, ...]:
        """Every value that the label `bucket` can have."""
        return (*map(str, range(self.buckets)), NO_BUCKET)

    def bucket(self, unit: str | None) -> str:
        """A unit's bucket as a label: xxh64 of "bucket:salt:unit" modulo the number of buckets.

        No unit, or an empty one, is in no bucket.
        """
        if not unit:
            return NO_BUCKET
        key = f"bucket:{self.salt}:{unit}".encode()
        return str(xxhash.xxh64_intdigest(key) % self.buckets)

    def bucket_of(self, units: Sequence[bytes], drawn: bytes | None) -> str | None:
        """The bucket of a request: None if that follows from its id.

        `units` are the values of the header that names the unit, `drawn` that of x-ab-randomized.
        What the router did not randomize, or what has no unit, is in none. So is what names its
        unit in a way of which clients and proxies make different ones: by several headers, or not
        in UTF-8. Blanks around it are not part of it. Only where the router says that it drew a
        request without a unit, is the request itself the unit.
        """
        if drawn == b"false":
            return NO_BUCKET
        if len(units) > 1:
            return NO_BUCKET
        unit = units[0].strip(BLANKS.encode()) if units else b""
        if unit:
            try:
                return self.bucket(unit.decode())
            except UnicodeDecodeError:
                return NO_BUCKET
        own = drawn == b"true" if drawn is not None else self.randomized
        return None if own else NO_BUCKET


@dataclass(frozen=True)
class Limits:
    """How much a client may send, and whether it may manage models."""

    max_bytes: int = 16 * 1024 * 1024
    admin: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Limits":
        """Read AB_MAX_BODY_BYTES (16 MiB) and AB_ADMIN (false).

        AB_ADMIN opens MLServer's model repository API and its documents to every client.

        Raises:
            StartError: no number of bytes, or neither true nor false.
        """
        size = environment.get("AB_MAX_BODY_BYTES", str(cls.max_bytes))
        if not (size.isdecimal() and 1 <= int(size) <= _MAX_BYTES):
            raise StartError(f"AB_MAX_BODY_BYTES={size!r}, must be from 1 to {_MAX_BYTES}")
        return cls(int(size), _flag(environment, "AB_ADMIN"))


def _flag(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "false")
    if value not in ("true", "false"):
        raise StartError(f"{name}={value!r}, must be true or false")
    return value == "true"


def _names(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    listed = environment.get(name, "")
    found = tuple(part.strip() for part in listed.split(",")) if listed else ()
    if "" in found or len(set(found)) != len(found):
        raise StartError(f"{name}={listed!r}, must be names, commas between, none twice")
    return found


def _kinds(environment: Mapping[str, str], outcomes: Sequence[str]) -> dict[str, str]:
    found = {}
    for each in _names(environment, "AB_KINDS"):
        outcome, _, kind = each.rpartition("=")
        if outcome not in outcomes or kind not in KINDS:
            raise StartError(
                f"AB_KINDS: {each!r}, must be one of AB_OUTCOMES={','.join(outcomes)}, = and one "
                f"of {', '.join(KINDS)}"
            )
        found[outcome] = kind
    return found


def _required(environment: Mapping[str, str], name: str, meaning: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise StartError(f"{name} is not set: {meaning}")
    return value
