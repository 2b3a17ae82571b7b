"""An experiment in its world, opened once; and what is seen there."""

import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from getpass import getuser
from pathlib import Path
from typing import Any

from abctl.cluster import KubeClient
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, Ledger, Phase
from abctl.core.split import Split
from abctl.errors import NoPlaceError, NotFoundError, UsageError
from abctl.platforms import Platform
from abctl.session import ledger
from abctl.session.audit import Audit
from abctl.session.ledger import Book

Ready = Callable[[str], bool | str]
Report = Callable[[str], None]


@dataclass(frozen=True)
class State:
    """What was seen of an experiment at one moment.

    Attributes:
        book: the ledger, with the object that holds it.
        carrier: the platform's object that carries the split, with its status.
        asked: the split that it asks for.
        drifted: whether somebody else set that: neither ledger nor open intent explains it.
        platform: what reads it.
        variants: those of the experiment that was looked for.
        unrecorded: why the ledger cannot be read; then the book stands for it.
        unsplit: why the object asks for no split; then `asked` only names its variants.
    """

    book: Book
    carrier: Object
    asked: Split
    drifted: bool
    platform: Platform
    variants: tuple[str, ...]
    unrecorded: str = ""
    unsplit: str = ""

    @property
    def ledger(self) -> Ledger:
        """What the ledger says."""
        return self.book.ledger

    @property
    def programmed(self) -> Split | None:
        """The split that the platform reports to be in effect; None where it cannot."""
        return self.platform.programmed(self.carrier)

    @property
    def refusal(self) -> str | None:
        """Why the platform has not taken what is asked for."""
        return self.platform.refusal(self.carrier)

    @property
    def unseen(self) -> str | None:
        """Why nobody can tell what is in effect, where the pods should say it."""
        reason: str | None = (self.carrier.get("status") or {}).get("unseen")
        return reason

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
        book = Ref.of(self.book.obj)
        return (
            f"kubectl delete configmap {book.name} -n {book.namespace} puts an earlier "
            "experiment's ledger away, the next shift or apply begins another; a shift without "
            "that enters the new variants in the old one"
        )


@dataclass(frozen=True)
class Session:
    """An experiment in its world: a cluster, or the local stack.

    What is done with it is a function of this package that takes a session: `plan` and `shift`,
    `apply`, `status`, `analyze`, `delete`. `abctl.session.open` makes one of a file or KIND/NAME.

    Attributes:
        world: the client of the world.
        platform: what carries the split.
        experiment: of the file, or made up for an object that abctl did not make.
        ready: whether a variant can take requests; a text says why it cannot.
        words: which world it is, for people.
        word: what the user called the experiment, for commands: its file, or KIND/NAME.
        state_dir: the folder of the local stack; None in a cluster.
        adopted: whether there is no experiment file.
        prometheus_url: where the counters are; else the experiment says, or the stack.
        prometheus_config: a file that says it, and who one is there.
        actor: who acts, for the ledger; the user of this machine if empty.
        audit: knows whom the API server takes that for, and makes Events.
        timeout_seconds: how long something may take until it is in effect.
        remind: makes the world look at once at what was changed; says why it cannot.
        report: told what is done and what it waits for, in words.
        clock: unix seconds, by which the ledger is written; where it is opened, the world's own.
        sleep: waits for some seconds.
    """

    world: KubeClient
    platform: Platform
    experiment: Experiment
    _: KW_ONLY
    ready: Ready = lambda _: True
    words: str = ""
    word: str = "EXPERIMENT"
    state_dir: Path | None = None
    adopted: bool = False
    prometheus_url: str | None = None
    prometheus_config: Path | None = None
    actor: str = ""
    audit: Audit = field(default_factory=Audit)
    timeout_seconds: float = 150.0
    remind: Callable[[], str | None] = lambda: None
    report: Report = lambda _: None
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    @property
    def target(self) -> Ref:
        """The object that carries the split."""
        return self.platform.target(self.experiment)

    @property
    def objects(self) -> list[Object]:
        """The objects that abctl makes, in their order; none where it did not make them.

        Raises:
            SpecError: the platform cannot express the experiment.
        """
        return [] if self.adopted else self.platform.objects(self.experiment)

    def observe(self) -> State:
        """Look at the world: its ledger, and what its platform is asked for.

        Raises:
            NotFoundError: the experiment was not started.
            ClusterError: the ledger or the platform's object cannot be read.
        """
        state = self._look()
        while state.drifted:
            # A shift that ended between the two reads looks like drift, once.
            earlier, state = state, self._look()
            if (state.book.version, state.asked) == (earlier.book.version, earlier.asked):
                break
        return state

    def entry(
        self, before: Split | None, after: Split, why: str, phase: Phase, **more: Any
    ) -> Entry:
        """What the ledger is to say of something that is done now.

        Args:
            before: the split before.
            after: the split that it leads to.
            why: the reason.
            phase: see `abctl.core.ledger`.
            more: of the entry.

        Raises:
            UsageError: nobody says who does it.
        """
        try:
            actor = self.actor or getuser()
        except (KeyError, OSError):
            raise UsageError("this user has no name", "say who you are with --actor") from None
        more.setdefault("user", self.audit.user)
        return Entry(self.clock(), actor, before, after, why, phase, **more)

    def _look(self) -> State:
        book = ledger.read(self.world, self.experiment)
        try:
            carrier = self.world.get(self.target)
        except NoPlaceError:
            raise
        except NotFoundError as error:
            hint = (
                "abctl apply makes it, or goes on where it was interrupted; abctl doctor looks why"
            )
            raise NotFoundError(error.message, hint) from None
        asked, variants = self.platform.split_of(carrier), self.experiment.split.names
        drifted = asked not in book.ledger.expected
        return State(book, carrier, asked, drifted, self.platform, variants)
