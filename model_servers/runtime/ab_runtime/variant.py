"""Which variant this server is, read from environment variables, and whose request is whose."""

from collections.abc import Mapping
from dataclasses import dataclass

import xxhash

from ab_runtime.errors import StartError

NO_BUCKET = "none"
RANDOMIZED = "x-ab-randomized"
_MAX_BUCKETS = 10_000


@dataclass(frozen=True)
class Variant:
    """What the experiment says about this server.

    `key` is the (lower-case) request header that names the unit; `outcomes` are the only ones that
    feedback may report. `randomized` is what holds where the router does not say.
    """

    name: str
    salt: str
    buckets: int = 64
    key: str = "x-user-id"
    outcomes: tuple[str, ...] = ()
    randomized: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Variant":
        """Read AB_VARIANT, AB_SALT, AB_BUCKETS (64), AB_KEY (x-user-id), AB_OUTCOMES (none).

        AB_RANDOMIZED (false) is true behind routers that draw every request and cannot say so.

        Raises:
            StartError: AB_VARIANT or AB_SALT is missing, AB_VARIANT cannot stand in a header,
                AB_BUCKETS is no number from 1 to 10 000, an outcome is empty or there twice,
                AB_RANDOMIZED is neither true nor false.
        """
        name = _required(environment, "AB_VARIANT", "the variant's name, for example treatment")
        if not (name.isascii() and name.isprintable()):
            raise StartError(f"AB_VARIANT={name!r}, must be plain ASCII: it is sent in a header")
        buckets = environment.get("AB_BUCKETS", str(cls.buckets))
        if not (buckets.isdecimal() and 1 <= int(buckets) <= _MAX_BUCKETS):
            raise StartError(f"AB_BUCKETS={buckets!r}, must be from 1 to {_MAX_BUCKETS}")
        randomized = environment.get("AB_RANDOMIZED", "false")
        if randomized not in ("true", "false"):
            raise StartError(f"AB_RANDOMIZED={randomized!r}, must be true or false")
        listed = environment.get("AB_OUTCOMES", "")
        outcomes = tuple(part.strip() for part in listed.split(",")) if listed else ()
        if "" in outcomes or len(set(outcomes)) != len(outcomes):
            raise StartError(f"AB_OUTCOMES={listed!r}, must be names, commas between, none twice")
        return cls(
            name=name,
            salt=_required(environment, "AB_SALT", "the experiment's assignment.salt"),
            buckets=int(buckets),
            key=environment.get("AB_KEY", cls.key).lower(),
            outcomes=outcomes,
            randomized=randomized == "true",
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

    def bucket_of(self, headers: Mapping[str, str], request_id: str | None) -> str:
        """The bucket of a request, from its (lower-case) headers.

        What the router did not randomize, or what has no unit, is in none. Only where the router
        says that it drew a request without a unit, is the request itself the unit.
        """
        drawn = headers.get(RANDOMIZED, "true" if self.randomized else None)
        if drawn == "false":
            return NO_BUCKET
        unit = headers.get(self.key)
        if unit:
            return self.bucket(_sent(unit))
        return self.bucket(request_id if drawn == "true" else None)


def _required(environment: Mapping[str, str], name: str, meaning: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise StartError(f"{name} is not set: {meaning}")
    return value


def _sent(header: str) -> str:
    # HTTP headers reach Python as Latin-1, whatever they are; data planes hash their bytes as sent.
    if header.isascii():
        return header
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
