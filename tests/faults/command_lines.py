"""Command lines that are sound but for one value, made of what each command takes."""

from argument_kinds import Command, Slot

NOBODY = "http://127.0.0.1:1"
# What an argument is given where nothing is wrong; an optional one only if it is an experiment.
ARGUMENTS = {
    "experiment": "iris.yaml",
    "rows": "labels.csv",
    "output": "new.yaml",
    "target": "127.0.0.1:1",
    "words": "alice",
}
# A plan that is as it was locked is nothing to amend.
ARGUMENTS_OF = {"amend": {"experiment": "changed.yaml"}}
# What a command is given besides, so that it gets as far as it can without a process. Of a group of
# options one is enough: where another of them is wrong, they are left out.
OPTIONS: dict[str, list[dict[str, str]]] = {
    "demo": [{"models": "folder"}],
    "local up": [{"models": "folder"}],
    "adopt": [{"yes": "yes", "dry_run": "client"}],
    "amend": [{"yes": "yes", "dry_run": "client"}, {"why": "a-typing-error"}],
    "apply": [{"yes": "yes"}],
    "delete": [{"yes": "yes"}],
    "run": [{"dry_run": "client"}, {"once": "yes"}],
    "approve": [{"dry_run": "client"}, {"gate": "5%"}],
    "pause": [{"dry_run": "client"}],
    "resume": [{"dry_run": "client"}],
    "abort": [{"dry_run": "client"}],
    "plan": [{"baseline": "60%"}],
    "promote": [{"yes": "yes", "dry_run": "client"}],
    "rollback": [{"yes": "yes", "dry_run": "client"}],
    "scrape": [{"for_": "0s"}, {"file": "scrapes.jsonl"}],
    "shift": [{"yes": "yes", "dry_run": "client"}, {"to": "treatment=30%", "split": ""}],
    "ui": [{"for_": "0s"}],
    "feedback": [{"url": NOBODY, "state": ""}],
    "simulate": [{"url": NOBODY, "state": ""}],
}
# Kinds of options that say nothing without another one.
WITH = {"plan": ("--live", {"source", "connection", "kubeconfig", "context", "namespace", "state"})}
OF_A_CLUSTER = {"kubeconfig", "context", "namespace"}
# They would start processes if there were models; their folder is theirs alone.
OF_THEIR_OWN = ("demo", "local up")


def line(command: Command, wrong: Slot | None = None, value: str = "") -> list[str]:
    """The words of a command line; without a wrong one all is sound."""
    kind = wrong.kind if wrong else ""
    known = {slot.name: slot for slot in command.slots}
    words = [*command.words, *_place(command, known, kind)]
    flag, kinds = WITH.get(command.words[0], ("", set[str]()))
    words += [flag] if kind in kinds else []
    for group in OPTIONS.get(" ".join(command.words), []):
        if wrong is None or wrong.name not in group:
            words += [_option(known[name], given) for name, given in group.items() if given]
    words += [_option(wrong, value)] if wrong and wrong.flag else []
    return [*words, "--", *_arguments(command, wrong, value)]


def _place(command: Command, known: dict[str, Slot], kind: str) -> list[str]:
    """Which world is meant."""
    here = "state" in known and " ".join(command.words) not in OF_THEIR_OWN
    if "kubeconfig" in known and (kind in OF_A_CLUSTER or not here):
        return [] if kind == "kubeconfig" else ["--kubeconfig", "kubeconfig"]
    return ["--state", "state"] if here and kind not in ("state", "stack") else []


def _option(slot: Slot, value: str) -> str:
    return slot.flag if slot.kind == "flag" else f"{slot.flag}={value}"


def _arguments(command: Command, wrong: Slot | None, value: str) -> list[str]:
    given = []
    sound = ARGUMENTS | ARGUMENTS_OF.get(" ".join(command.words), {})
    for slot in command.slots:
        if slot == wrong and not slot.flag:
            given.append(value)
        elif not slot.flag and (slot.required or slot.kind == "experiment"):
            # Saved evidence is judged without an experiment.
            given += [] if wrong and wrong.kind == "evidence" else [sound[slot.kind]]
    return given
