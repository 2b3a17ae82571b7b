"""What the collector is told: a JSON file that `abctl` writes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ab_runtime.collector.outcome import Kind, Outcome
from ab_runtime.errors import StartError

_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class OutcomeSettings(_Strict):
    """An outcome that may be reported; see `ab_runtime.collector.store.Outcome`."""

    name: _Name
    of: _Name | None = None
    kind: Kind
    times: Literal["once", "many"] = "once"
    maturity_seconds: Annotated[float, Field(gt=0, alias="maturitySeconds")]
    window_seconds: Annotated[float | None, Field(gt=0, alias="windowSeconds")] = None
    after_seconds: Annotated[float | None, Field(gt=0, alias="afterSeconds")] = None
    cap: Annotated[float | None, Field(gt=0)] = None
    per: tuple[Literal["outcome", "user"], ...] = ("outcome",)

    @property
    def outcome(self) -> Outcome:
        """As the store takes it."""
        maturity_ms = round(self.maturity_seconds * 1000)
        window_ms = round((self.window_seconds or self.maturity_seconds) * 1000)
        after_ms = round((self.after_seconds or 0.0) * 1000)
        of = self.of or self.name
        return Outcome(
            self.name, self.kind, self.times, maturity_ms, window_ms, after_ms, of, self.cap
        )


class Settings(_Strict):
    """Everything that the collector is told."""

    variants: tuple[_Name, ...]
    buckets: Annotated[int, Field(ge=1, le=10_000)]
    outcomes: tuple[OutcomeSettings, ...]
    keys: Path
    memory: Path
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)]

    @classmethod
    def from_file(cls, path: Path) -> "Settings":
        """Read the file.

        Raises:
            StartError: unreadable, or not of this form: every fault with its place.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise StartError(f"{path}: {error.strerror}") from None
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'file'}: {each['msg']}"
                for each in error.errors(include_input=False, include_url=False)
            )
            raise StartError(f"{path}: {faults}") from None
