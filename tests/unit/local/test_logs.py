from pathlib import Path

import pytest

from abctl.errors import NotFoundError
from abctl.local import logs


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / logs.FOLDER).mkdir()
    logs.path(tmp_path, "envoy").write_bytes(b"one\ntwo\n\xff three\nunfinished")
    logs.path(tmp_path, "other").write_text("")
    return tmp_path


@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_the_last_lines_of_each(state_dir: Path, count: int) -> None:
    whole = ["one", "two", "\N{REPLACEMENT CHARACTER} three"]
    got = [*logs.lines(state_dir, None, count, None, bool)]
    assert got == [("envoy", line) for line in [*whole[3 - min(count, 3) :], "unfinished"]]


def test_following_gives_whole_lines_until_the_stack_ends(state_dir: Path) -> None:
    log = logs.path(state_dir, "other")
    steps = iter(["a", "b\n", "c\nd", ""])
    running = iter([True, True, True, True, False])

    def sleep(_: float) -> None:
        with log.open("a") as file:
            file.write(next(steps))

    got = logs.lines(state_dir, "other", 5, sleep, lambda: next(running))
    assert [line for _, line in got] == ["ab", "c", "d"]


def test_no_such_process_no_such_folder(state_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no process 'nginx'") as error:
        list(logs.lines(state_dir, "nginx", 5, None, bool))
    assert error.value.hint == "known: envoy, other"
    with pytest.raises(NotFoundError, match="no logs"):
        list(logs.lines(tmp_path / "nowhere", None, 5, None, bool))


def test_the_end_for_a_message(state_dir: Path) -> None:
    assert logs.last(logs.path(state_dir, "envoy"), 1) == "  unfinished"
    assert logs.last(logs.path(state_dir, "other")) == "  (it wrote nothing)"
    assert logs.last(logs.path(state_dir, "nobody")) == "  (it wrote nothing)"
