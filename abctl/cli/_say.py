"""What people say to a ramp: the options and the answer that its four commands share."""

from dataclasses import dataclass

from abctl.cli._output import Output, emit, tell
from abctl.cli._session import ActorOption, WhyOption, WorldOptions, file_session_of
from abctl.core.ledger import Word


@dataclass(frozen=True)
class SayOptions:
    """Who says it, and why, for the ledger."""

    why: WhyOption = ""
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
    told = say(session, word, why=given.why, gate=gate)
    name = session.experiment.name
    answer = {
        "experiment": name,
        "word": told.word,
        "gate": told.gate,
        "changed": told.changed,
        "why": given.why,
    }
    of = f" {told.gate}" if told.gate else ""
    already = "" if told.changed else " already"
    emit("Said", answer, output, lambda _: f"{name}: {told.word}{of}{already}")
    if told.changed and follows:
        tell(follows)
