"""Some of the generated cases, and what only a process can meet: closed and full streams, a full
disk, an interruption while modules load.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from generated_cases import Case, cases, check
from sound_world import WebPage, make

pytestmark = pytest.mark.process

ABCTL = [sys.executable, "-c", "from abctl.cli.main import main; main()"]
COUNT = 30


def some(every: list[Case]) -> list[Case]:
    """As many as there should be, spread over all commands; always the same ones."""
    by_command: dict[tuple[str, ...], list[Case]] = {}
    for case in every:
        by_command.setdefault(case.command.words, []).append(case)
    each = -(-COUNT // len(by_command))
    chosen = [
        found[(2 * i + 1) * len(found) // (2 * each)]
        for i in range(each)
        for found in by_command.values()
    ]
    return chosen[:COUNT]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, before = tmp_path_factory.mktemp("world"), Path.cwd()
    os.chdir(folder)  # names of sockets are short
    make(folder)
    os.chdir(before)
    return folder


@pytest.fixture(scope="module")
def web_page() -> Iterator[str]:
    with WebPage() as server:
        yield server.url
        server.shutdown()


@pytest.fixture
def own(world: Path, tmp_path: Path) -> Path:
    """A folder with an experiment, its state and saved evidence, to be written to."""
    for name in ("iris.yaml", "pages.jsonl"):
        shutil.copy(world / name, tmp_path)
    shutil.copytree(world / "state", tmp_path / "state")
    shutil.copy(Path(__file__).parents[1] / "golden" / "saved_evidence.json.gz", tmp_path)
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    """Without what is set for this machine."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ABCTL_", "KUBE", "XDG_"))}
    return {**kept, "HOME": "/nowhere", **more}


def ended(folder: Path, words: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """How a process ends."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*ABCTL, *words],
        cwd=folder,
        env=environment(),
        text=True,
        errors="surrogateescape",
        timeout=60,
        check=False,
        **{"capture_output": True, "stdin": subprocess.DEVNULL} | options,
    )


@pytest.mark.parametrize("case", some(cases()), ids=str)
def test_a_process_ends_as_it_should(case: Case, world: Path, web_page: str) -> None:
    done = ended(world, case.words(web_page))
    check(case, done.returncode, done.stdout, done.stderr)


def shell(folder: Path, line: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `abctl` in a line of a shell."""
    words = " ".join(f"'{word}'" for word in ABCTL)
    done = subprocess.run(
        ["bash", "-c", f'abctl() {{ {words} "$@"; }}; {line}'],
        cwd=folder,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


ANALYZE = "abctl analyze --from saved_evidence.json.gz"
CLOSED = "error: stdout is closed\nhint: let it lead somewhere, such as > FILE\n"
GONE = (
    "error: experiment.yaml cannot be written: No such file or directory\n"
    "hint: is its folder there?\n"
)
FULL = (
    "error: stdout cannot be written: No space left on device\n"
    "hint: make room there, or name another place\n"
)


@pytest.mark.parametrize(
    ("line", "ending"),
    [
        ("abctl schema >&-", (2, "", CLOSED)),
        ("abctl --help >&-", (2, "", CLOSED)),
        (f"{ANALYZE} >/dev/full", (2, "", FULL)),
        ("abctl platforms -o json >/dev/full", (2, "", FULL)),
        ("abctl schema 2>&- | head -c 1", (0, "{", "")),
        ("abctl nothing 2>&-", (2, "", "")),
        ("abctl nothing 2>/dev/full", (2, "", "")),
        ("abctl platforms <&- >&- 2>&-", (2, "", "")),
        (
            "abctl assign iris.yaml - <&-",
            (2, "", "error: stdin is closed\nhint: give it something to read: < FILE, or a pipe\n"),
        ),
        (
            "mkdir gone; cd gone; rmdir ../gone; abctl local up ../iris.yaml",
            (
                2,
                "",
                "error: the folder in which this runs is gone\nhint: cd to another one\n",
            ),
        ),
        ("mkdir gone; cd gone; rmdir ../gone; abctl init", (2, "", GONE)),
        (
            "abctl doctor iris.yaml --state state --url http://a:s3cret@b 2>&1 | grep -c s3cret",
            (1, "0", ""),
        ),
        ("abctl schema > /dev/null; abctl lint <(cat iris.yaml) 2>&-", (0, "ok", "")),
    ],
)
def test_streams_may_be_closed_or_full(own: Path, line: str, ending: tuple[int, str, str]) -> None:
    code, out, err = shell(own, line)
    assert (code, err) == (ending[0], ending[2])
    assert ending[1] in out
    assert out or not ending[1]


def test_without_stderr_the_answer_is_the_same(own: Path) -> None:
    assert shell(own, f"{ANALYZE} 2>&-") == shell(own, f"{ANALYZE} 2>/dev/null")


def test_where_nobody_can_be_asked_nothing_is_changed(own: Path) -> None:
    code, _, err = shell(own, "abctl rollback iris.yaml --state state <&-")
    assert code == 2
    assert "error: stdin is not a terminal: the question has no answer\nhint: " in err


@pytest.mark.parametrize(
    "words",
    [
        ["init", "new.yaml"],
        ["analyze", "iris.yaml", "--state", "state", "--save", "new.json.gz"],
        ["demo", "--state", "new/demo"],
    ],
    ids=lambda words: words[0],
)
def test_a_full_disk_leaves_what_was_there(own: Path, words: list[str]) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    before = sorted(own.rglob("*"))
    done = ended(own, words, preexec_fn=full)
    error, hint = done.stderr.splitlines()[-2:]
    assert done.returncode == 2
    assert error.startswith("error: new")
    assert error.endswith("cannot be written: File too large")
    assert hint.startswith("hint: make room there")
    new = [path for path in own.rglob("*") if path not in before]
    assert [path for path in new if path.suffix in (".yaml", ".gz") or path.name[0] == "."] == []


# What each of them imports, early and late; and whether it happens in a callback.
MODULES = [
    ("abctl.cli._streams", "schema", False),
    ("typer", "schema", False),
    ("typer", "schema", True),
    ("abctl.cli.schema", "schema", True),
    ("numpy", ANALYZE[6:], False),
    ("scipy.special", ANALYZE[6:], True),
    ("rich.console", ANALYZE[6:], False),
]


@pytest.mark.parametrize(("module", "line", "lost"), MODULES)
def test_an_interruption_while_modules_load_is_two_lines(
    own: Path, module: str, line: str, lost: bool
) -> None:
    # The interpreter prints what is raised in a callback, and goes on; here it is raised twice.
    program = f"""
import os, signal, sys, weakref

class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            sys.meta_path.remove(self)
            if {lost}:
                class Mortal: pass
                mortal = Mortal()
                mortal.ref = weakref.ref(mortal, lambda _: signal.raise_signal(signal.SIGINT))
                keep.append(weakref.ref(mortal, lambda _: signal.raise_signal(signal.SIGINT)))
                del mortal
            else:
                signal.raise_signal(signal.SIGINT)

keep = []
sys.meta_path.insert(0, Interrupting())
from abctl.cli.main import main
main()
"""
    command = [sys.executable, "-c", program, *line.split()]
    done = subprocess.run(
        command,
        cwd=own,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.stderr == "error: interrupted\nhint: the same command begins anew\n"
    assert done.returncode == 130
