"""A look at an experiment: what its ledger says, and what its platform is asked for."""

from dataclasses import dataclass

from abctl.cluster import Door
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import Ledger
from abctl.core.split import Split
from abctl.errors import NoPlaceError, NotFoundError
from abctl.forms.ledger import ledger_of
from abctl.platforms import Platform
from abctl.session import ledger


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
        book: the object that holds the ledger.
        ledger: what it says.
        carrier: the platform's object that carries the split, with its status.
        asked: the split that it asks for.
        drifted: whether somebody else set that: neither the ledger nor an open intent explains it.
        variants: those of the experiment that was looked for.
    """

    book: Object
    ledger: Ledger
    carrier: Object
    asked: Split
    drifted: bool
    variants: tuple[str, ...]

    @property
    def other_variants(self) -> str | None:
        """That file, ledger and object are not of the same variants, in words; None if they are."""
        known, there = self.ledger.wanted.names, self.asked.names
        named = {"the ledger": known, str(Ref.of(self.carrier)): there}
        if self.variants != there:
            named = {"the file": self.variants} | named
        if len(set(named.values())) == 1:
            return None
        return ", ".join(f"{who} is of {' and '.join(names)}" for who, names in named.items())

    @property
    def remedy(self) -> str:
        """What to do about other variants."""
        if self.ledger.wanted.names == self.asked.names:
            return "put the file back, or give the next experiment a name of its own"
        book = Ref.of(self.book)
        return (
            f"kubectl delete configmap {book.name} -n {book.namespace} puts an earlier "
            "experiment's ledger away, the next shift or apply begins another; a shift without "
            "that enters the new variants in the old one"
        )

    @property
    def unseen(self) -> str | None:
        """Why nobody can tell what is in effect, where the pods should say it."""
        reason: str | None = (self.carrier.get("status") or {}).get("unseen")
        return reason


def look(
    door: Door, platform: Platform, experiment: Experiment, found: Object | None = None
) -> Look:
    """Look at the world.

    Args:
        door: to the world.
        platform: what carries the split.
        experiment: whose split.
        found: the platform's object with its status, if it was read a moment ago; it is believed
            where the ledger explains it.

    Raises:
        NotFoundError: the experiment was not started.
        ClusterError: the ledger or the platform's object cannot be read.
    """
    while True:
        book = ledger.read(door, experiment)
        known, carrier = ledger_of(book), found
        if carrier is None or platform.split_of(carrier) not in known.expected:
            carrier = _carrier(door, platform.target(experiment))
        asked = platform.split_of(carrier)
        drifted = asked not in known.expected
        # A shift that ended between the two reads looks like drift, once.
        if not drifted or ledger.read(door, experiment) == book:
            return Look(book, known, carrier, asked, drifted, experiment.split.names)


def _carrier(door: Door, ref: Ref) -> Object:
    try:
        return door.get(ref)
    except NoPlaceError:
        raise
    except NotFoundError as error:
        hint = "abctl apply makes it, or goes on where it was interrupted; abctl doctor looks why"
        raise NotFoundError(error.message, hint) from None
