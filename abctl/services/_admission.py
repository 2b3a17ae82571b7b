"""What a platform's own admission would refuse is refused here, before anything is written."""

from collections.abc import Iterable

from abctl.core.change import Object, Ref
from abctl.errors import SpecError
from abctl.platforms import Platform


def require_admissible(platform: Platform, objects: Iterable[Object]) -> None:
    """Ask the platform about each object.

    Raises:
        SpecError: the first objection, in the platform's own words.
    """
    for obj in objects:
        if objections := platform.objections(obj):
            raise SpecError(
                f"{Ref.of(obj)} would be refused: {'; '.join(objections)}",
                "mend the experiment, or the object if somebody else made it",
            )
