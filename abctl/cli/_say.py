"""What people say to a ramp: the options and the answer that its four commands share."""

from dataclasses import dataclass

from abctl.cli._output import Output, emit, tell
from abctl.cli._session import (
    ActorOption,
    DryRun,
    DryRunOption,
    WhyOption,
    WorldOptions,
    file_session_of,
)
from abctl.core.ledger import Word


@dataclass(frozen=True)
class SayOptions:
    """Who says it, and why, for the ledger; and how far to go."""

    why: WhyOption = ""
    dry_run: DryRunOption = DryRun.none
    actor: ActorOption = ""


def say_to(
    what: str,
    word: Word,
    given: SayOptions,
    world: WorldOptions,
    output: Output,
    *,
    gate: str | None = None,
    follows: str = "",
) -> None:
    """Enter it in the ledger, and answer.

    Args:
        what: the experiment file.
        word: what is said.
        given: who and why.
        world: where the experiment is.
        output: the form of the answer.
        gate: which one is approved.
        follows: what comes of it, for people.
    """
    from abctl.session.say import say  # noqa: PLC0415 - the platforms load when asked

    session = file_session_of(what, world, actor=given.actor, report=tell)
    trial = given.dry_run is not DryRun.none
    told = say(session, word, why=given.why, gate=gate, dry_run=trial)
    name = session.experiment.name
    answer = {
        "experiment": name,
        "word": told.word,
        "gate": told.gate,
        "changed": told.changed,
        "why": given.why,
        "dryRun": trial,
    }
    of = f" {told.gate}" if told.gate else ""
    ending = " already" if not told.changed else " (dry run)" if trial else ""
    emit("Said", answer, output, lambda _: f"{name}: {told.word}{of}{ending}")
    if told.changed and follows and not trial:
        tell(follows)
