"""All cases, and what must hold of each ending."""

import re
from dataclasses import dataclass

from argument_kinds import Command, Slot, commands
from command_lines import OF_THEIR_OWN, line
from fault_kinds import FAULTS, Fault

from abctl.foreign import shown

# Where something wrong in one part does not keep the rest from being told, it is in the answer; and
# where nothing runs there is nothing to stop.
NO_ERROR = {
    ("local down", "state"): 0,
    ("status", "source"): 0,
    ("doctor", "source"): 3,
    ("doctor", "entrance"): 3,
    ("doctor", "connection"): 3,
    ("doctor", "namespace"): 3,
    ("doctor", "state"): 3,
    ("doctor", "words"): 3,
}


@dataclass(frozen=True)
class Case:
    """A command line with one value that is wrong."""

    command: Command
    slot: Slot
    fault: Fault

    def __str__(self) -> str:
        return f"{self.slot} {self.fault.name}".replace(" ", "-")

    def words(self, web_page: str) -> list[str]:
        """The command line."""
        return line(self.command, self.slot, self.fault.value.replace("{web page}", web_page))

    @property
    def codes(self) -> set[int]:
        """With which it may end."""
        answered = NO_ERROR.get((" ".join(self.slot.command), self.slot.kind))
        return {*self.fault.codes} | ({answered} if answered is not None else set())


def cases() -> list[Case]:
    """Every command x argument x fault of its kind."""
    return [
        Case(command, slot, fault)
        for command in commands()
        for slot in command.slots
        for fault in FAULTS[slot.kind]
    ]


def check(case: Case, code: int, out: str, err: str) -> None:
    """What must hold however a command ends."""
    assert code in case.codes, err
    assert "Traceback" not in err
    sent = {each for each in out + err if not each.isprintable() and each not in "\n\t"}
    assert not sent, "control characters reach the terminal"
    if code in (2, 5, 6):
        starts = re.findall(r"^(?:error|hint|bug): ", err, re.MULTILINE)
        assert starts == ["error: ", "hint: "]
        error, *more, hint = err[err.index("error: ") :].splitlines()
        assert hint.startswith("hint: ")
        assert len(hint) > len("hint: ")
        assert len(error) < 1_200
        # Of an experiment everything that is wrong is told at once.
        assert not more or ("problems in " in error and all(e.startswith("  ") for e in more))
    # What may be right, or comes after something else that is missing here, need not be named.
    if code and 0 not in case.codes and " ".join(case.command.words) not in OF_THEIR_OWN:
        parts = [part[:20] for part in re.split(r"[=/:@\s]", case.fault.value) if part]
        names = [
            case.slot.flag or case.slot.name,
            *map(shown, parts),
            *(repr(p)[1:-1] for p in parts),
        ]
        assert not parts or any(name in out + err for name in names), "not said what is wrong"
