"""What a platform's own admission would refuse is refused here, before anything is written."""

from collections.abc import Iterable

from abctl.core.change import Object, Ref
from abctl.errors import SpecError
from abctl.platforms import Platform

_MOST = 63  # characters of a Service's name, which is a name of DNS; of others they are 253


def _require_name(ref: Ref) -> None:
    if ref.kind == "Service" and len(ref.name) > _MOST:
        raise SpecError(
            f"{ref} would be refused: its name has {len(ref.name)} characters, must be at most "
            f"{_MOST}",
            "give the experiment a shorter name (metadata.name)",
        )


def require_admissible(platform: Platform, objects: Iterable[Object]) -> None:
    """Ask the platform about each object.

    Raises:
        SpecError: the first objection, in the platform's own words.
    """
    for obj in objects:
        _require_name(Ref.of(obj))
        if objections := platform.objections(obj):
            raise SpecError(
                f"{Ref.of(obj)} would be refused: {'; '.join(objections)}",
                "mend the experiment, or the object if somebody else made it",
            )
