"""What can be wrong with an argument of each kind: the value that is given, and the exit code.

Values that name a file name one of the world in `sound_world.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

USAGE, CLUSTER, SOURCE = 2, 5, 6


@dataclass(frozen=True)
class Fault:
    """A value that is wrong.

    Attributes:
        name: of what is wrong with it.
        value: what is given.
        codes: with which the command may end.
    """

    name: str
    value: str
    codes: frozenset[int]


def _all(codes: Iterable[int], **values: str) -> list[Fault]:
    return [Fault(name.replace("_", " "), v, frozenset(codes)) for name, v in values.items()]


CONTROL = "a\x1b[2J\x07\rb"
LONG, DIGITS = "x" * 5_000, "9" * 400

NO_FILES = {
    "missing": "missing",
    "nothing": "",
    "folder": "folder",
    "fifo": "fifo",
    "socket": "socket",
    "device": "/dev/zero",
    "endless_link": "endless",
    "below_a_file": "iris.yaml/x",
    "control": f"missing {CONTROL}",
    "long": LONG,
}
NO_CONTENT = {
    "empty": "empty",
    "binary": "binary",
    "zeros": "zeros",
    "utf16": "utf16",
    "page": "page.html",
    "deep": "deep",
    "list": "list.json",
    "huge": "huge",
}
NO_PLACES = {
    "folder": "folder",
    "nothing": "",
    "fifo": "fifo",
    "device": "/dev/full",
    "no_folder": "missing/new",
    "below_a_file": "iris.yaml/new",
    "of_the_kernel": "/proc/new",
    "read_only": "/sys/new",
    "control": f"missing/{CONTROL}",
    "long": LONG,
}
NO_NUMBERS = {
    "word": "abc",
    "nothing": "",
    "nan": "nan",
    "negative": "-7",
    "huge": DIGITS,
    "infinite": "1e400",
    "long": LONG,
    "control": CONTROL,
}
NO_SIZES = {
    "unit": "2",
    "small": "0.3",
    "negative": "-2pp",
    "nothing": "",
    "nan": "nan%",
    "unknown_unit": "2 percent",
    "huge": f"{DIGITS}abs",
    "control": CONTROL,
}
NO_NAMES = {"unknown": "nobody", "nothing": "", "control": CONTROL, "long": LONG, "path": "../../x"}
NO_ADDRESSES = {
    "word": "prometheus",
    "nothing": "",
    "scheme": "ftp://127.0.0.1:1",
    "no_host": "http://",
    "port": "http://127.0.0.1:99999",
    "bracket": "http://[::1",
    "control": f"http://{CONTROL}",
    "file": "file:///etc/passwd",
}

FAULTS: dict[str, list[Fault]] = {
    "flag": [],
    "choice": _all([USAGE], unknown="xml", nothing="", control=CONTROL, long=LONG),
    "whole number": _all([USAGE], **NO_NUMBERS, fraction="1.5"),
    "number": _all([USAGE], **NO_NUMBERS),
    "duration": _all(
        [USAGE], word="abc", nothing="", negative="-5s", nan="nan", unit="5x", huge=f"{DIGITS}d"
    ),
    "size": _all([USAGE], **NO_SIZES),
    "traffic": _all([USAGE], unit="100", word="many/day", zero="0/day", huge=f"{DIGITS}/day"),
    "effect": _all(
        [USAGE],
        word="treatment",
        unit="treatment=+0.3",
        nan="treatment=nan",
        nobody="nobody=+3pp",
        outcome="treatment/x=+3pp",
    ),
    "split": _all(
        [USAGE],
        unit="treatment=0.3",
        sum="50/60",
        nobody="nobody=30%",
        range="treatment=130%",
        nan="treatment=nan%",
        nothing="",
        fine="treatment=0.001%",
        control=CONTROL,
    ),
    "ramp": _all(
        [USAGE],
        word="slowly",
        nothing="",
        no_time="90/10",
        no_split=":1d",
        sum="90/20:1d",
        many="80/10/10:1d",
        unit="90/10:1x",
        endless=f"90/10:{DIGITS}d",
        control=CONTROL,
    ),
    "header": _all([USAGE], no_colon="x-cohort", no_name=": beta", nothing=""),
    "target": _all(
        [USAGE], word="server", nothing="", port="a:99999", user="a@b:80", url="ftp://a:80"
    ),
    "version": _all([USAGE, CLUSTER], unknown="v9", path="../../etc", nothing="", control=CONTROL),
    "label": _all([USAGE], nothing="", capitals="Iris 1", path="../x", control=CONTROL, long=LONG),
    "name": _all([USAGE], **NO_NAMES),
    "process": _all([CLUSTER], **NO_NAMES),
    "context": _all([CLUSTER], **NO_NAMES | {"nothing": " "}),
    "namespace": _all([CLUSTER], **NO_NAMES | {"nothing": " "}),
    "experiment": [
        *_all([USAGE], **NO_FILES, **NO_CONTENT),
        *_all(
            [USAGE, CLUSTER],
            kind="nokind/x",
            no_name="sdep/",
            object=f"sdep/{CONTROL}",
            bytes="sdep/\udcff",
        ),
    ],
    "stack": _all(
        [USAGE], **NO_NAMES, empty="empty", binary="binary", folder="folder", fifo="fifo"
    ),
    "evidence": _all([SOURCE], **NO_FILES, **NO_CONTENT, cut="cut.json.gz", bomb="bomb.json.gz"),
    "connection": _all([USAGE], **NO_FILES, **NO_CONTENT),
    "kubeconfig": _all([CLUSTER], **NO_FILES, **NO_CONTENT),
    "output": _all([USAGE], **NO_PLACES),
    "scrapes": [*_all([USAGE], **NO_PLACES), *_all([SOURCE], foreign="iris.yaml", binary="binary")],
    "state": [
        *_all([USAGE], file="iris.yaml", fifo="fifo", device="/dev/full"),
        *_all(
            [USAGE, CLUSTER],
            missing="missing",
            of_the_kernel="/proc/new",
            read_only="/sys/new",
            control=f"missing/{CONTROL}",
            long=LONG,
        ),
    ],
    "folder of models": _all(
        [USAGE, CLUSTER],
        missing="missing",
        file="iris.yaml",
        fifo="fifo",
        empty="folder",
        control=CONTROL,
        long=LONG,
    ),
    "model": _all([USAGE, CLUSTER], **NO_FILES, **NO_CONTENT),
    "outcome": _all([USAGE], **NO_NAMES),
    # Nothing runs that could be asked about them.
    "rows": _all([USAGE, CLUSTER], **NO_FILES, **NO_CONTENT),
    "events": _all([USAGE, CLUSTER, SOURCE], **NO_FILES, **NO_CONTENT),
    "source": [
        *_all([SOURCE], **NO_ADDRESSES),
        *_all(
            [SOURCE], nobody="http://127.0.0.1:1", web_page="{web page}", secret="http://a:b@far"
        ),
    ],
    "entrance": [
        *_all([USAGE], **NO_ADDRESSES),
        *_all([CLUSTER], nobody="http://127.0.0.1:1"),
    ],
    # Whatever they are, they may be so: but they are shown, never sent.
    "words": _all([0, USAGE, CLUSTER], control=CONTROL, nothing="", long=LONG, bytes="\udcff"),
}
