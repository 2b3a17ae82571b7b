"""A user's own rows as requests: every form of file, and whatever may be wrong with one."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from abctl.errors import UsageError
from abctl.simulate import _table, examples
from abctl.simulate._examples import from_file, made_up, takes_of
from abctl.simulate._traffic import distance, is_right, prediction_of
from abctl.spec import parse
from abctl.spec.init import starter

TWO = ({"name": "x", "datatype": "FP64", "shape": [-1, 2]},)
TEXT = ({"name": "predict", "datatype": "BYTES", "shape": [-1]},)
FRAME = (
    {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
    {"name": "town", "datatype": "BYTES", "shape": [-1, 1]},
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table(name: str, frame: pd.DataFrame) -> Path:
    path = Path(name)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        np.savez(path, **{column: frame[column].to_numpy() for column in frame})
    return path


def inputs(found: Any, row: int = 0) -> list[dict[str, Any]]:
    request = json.loads(found.body(row))
    return list(request["inputs"])


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.npz"])
def test_rows_are_tensors_and_the_label_is_not_among_them(name: str) -> None:
    frame = pd.DataFrame({"p": [1.5, 2, 3], "digit": [7, 8, 9], "q": [4, 5, 6.25]})
    found = from_file(table(name, frame), "digit", TWO)
    assert (len(found), list(found.labels or ())) == (3, [7, 8, 9])
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 2]}
    assert inputs(found, 2) == [{**tensor, "data": [3, 6.25]}]
    # A model that says nothing gets what the columns hold.
    found = from_file(table(name, frame), None, ())
    assert inputs(found, 0) == [{**tensor, "name": "predict", "shape": [1, 3], "data": [1.5, 7, 4]}]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.npz"])
@pytest.mark.parametrize("takes", [TEXT, ()])
def test_texts_are_one_text_a_row(name: str, takes: Any) -> None:
    frame = pd.DataFrame({"review": ["gut, ja", "schön"], "mood": ["pos", "neg"]})
    if name == "a.npz":
        frame = frame.astype(object)
        np.savez(name, review=np.array(["gut, ja", "schön"]), mood=np.array(["pos", "neg"]))
    else:
        table(name, frame)
    found = from_file(Path(name), "mood", takes)
    assert found.labels == ["pos", "neg"]
    (tensor,) = inputs(found, 1)
    assert (tensor["datatype"], tensor["shape"], tensor["data"]) == ("BYTES", [1], ["schön"])


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_columns_by_name_are_a_frame(name: str) -> None:
    frame = pd.DataFrame({"town": ["x", "y"], "other": [0.5, 1], "age": [31, 32], "y": [0, 1]})
    found = from_file(table(name, frame), "y", FRAME)
    request = json.loads(found.body(1))
    assert request["parameters"] == {"content_type": "pd"}
    assert [(e["name"], e["datatype"], e["data"]) for e in request["inputs"]] == [
        ("age", "INT64", [32]),
        ("town", "BYTES", ["y"]),
    ]
    # A model that says nothing gets all columns.
    request = json.loads(from_file(Path(name), "y", ()).body(0))
    assert [(e["name"], e["datatype"]) for e in request["inputs"]] == [
        ("town", "BYTES"),
        ("other", "FP64"),
        ("age", "FP64"),
    ]


def test_arrays_of_several_axes_keep_them() -> None:
    images = np.arange(24.0).reshape(2, 3, 4)
    np.savez("a.npz", X=images, y=np.array([0, 1]))
    for takes in ((), ({"name": "image", "datatype": "FP32", "shape": [-1, 3, 4]},)):
        (tensor,) = inputs(from_file(Path("a.npz"), "y", takes), 1)
        assert tensor["shape"] == [1, 3, 4]
        assert tensor["data"] == images[1].ravel().tolist()


def test_lines_of_v2_requests_are_sent_as_they_are() -> None:
    request = {"id": "1", "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}
    Path("a.jsonl").write_text(json.dumps({**request, "truth": "a"}) + "\n\n")
    found = from_file(Path("a.jsonl"), "truth", ())
    assert (json.loads(found.body(0)), found.labels) == (request, ["a"])
    assert from_file(Path("a.jsonl"), None, ()).labels is None


@pytest.mark.parametrize(
    ("name", "content", "label", "takes", "words"),
    [
        ("a.csv", None, None, TWO, "No such file"),
        ("a.csv", "", None, TWO, "is empty"),
        ("a.csv", " \n\n", None, TWO, "is empty"),
        ("a.csv", "p,q\n", None, TWO, "has no rows"),
        ("a.csv", "p,q\n1,2\n3\n", None, TWO, "row 3: 1 cells, must be 2"),
        ("a.csv", "p,q\n1,2\n3,4,5\n", None, TWO, "row 3: 3 cells, must be 2"),
        ("a.csv", "p,q\n1,2\n3,four\n", None, TWO, "row 3, column q: 'four', must be a number"),
        ("a.csv", "p,q\n1,2\n3,\n", None, TWO, "row 3, column q: empty, must be a number"),
        ("a.csv", "p,q\n1,2\n3,nan\n", None, TWO, "row 3, column q: nan, must be a finite"),
        ("a.csv", "p,q\n1,2\n1e999,4\n", None, TWO, "row 3, column p: 1e999, must be a finite"),
        ("a.csv", "p,q\n1,\x1b[31m\n", None, TWO, r"column q: '\\x1b[31m', must be a number"),
        ("a.csv", "p,q\n1,2\n", "y", TWO, "--label y: no such column"),
        ("a.csv", "y\n1\n", "y", TWO, "has no column but the label"),
        ("a.csv", "p,y\n1,2\n", "y", TWO, "1 values a row, but the model takes 2"),
        ("a.csv", "1,2\n3,4\n", None, TWO, "the first line holds numbers"),
        ("a.csv", "p,p\n3,4\n", None, TWO, "two columns are called 'p'"),
        ("a.csv", 'p,q\n"3,4\n', None, TWO, "row 2"),
        ("a.csv", b"p,q\n\xff,1\n", None, TWO, "line 2: byte 0xff is not UTF-8"),
        ("a.csv", "age,town\n1,x\n", None, TEXT, "takes one text a row"),
        ("a.csv", "age,twon\n1,x\n", None, FRAME, "no column town, which the model takes"),
        ("a.csv", "age,town\n1.5,x\n", None, FRAME, "row 2, column age: '1.5', must be a whole"),
        ("a.csv", "p,y\n1,\n", "y", (), "row 2, column y"),
        ("a.parquet", "p,q\n", None, TWO, "not Parquet"),
        ("a.npz", "p,q\n", None, TWO, "not an archive of plain arrays"),
        ("a.jsonl", "{}\n", None, (), "line 1: no V2 request"),
        ("a.jsonl", '{"inputs": []}\n[1\n', None, (), "line 2: not JSON"),
        ("a.jsonl", '{"inputs": []}\n', "y", (), "line 1: y is 'None'"),
        ("a.jsonl", "[" * 100_000, None, (), "line 1: not JSON"),
        ("a.txt", "x", None, (), "nothing is known of its ending"),
        ("folder.csv", {}, None, (), "is a folder"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(
    name: str, content: Any, label: str | None, takes: Any, words: str
) -> None:
    if isinstance(content, dict):
        Path(name).mkdir()
    elif content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as error:
        from_file(Path(name), label, takes)
    assert words in error.value.message
    assert "\x1b" not in error.value.message
    assert error.value.hint


def test_no_pickle_and_no_ragged_archive_is_read() -> None:
    np.savez("a.npz", X=np.array([{"a": 1}], object))
    with pytest.raises(UsageError, match="not an archive of plain arrays"):
        from_file(Path("a.npz"), None, ())
    np.savez("a.npz", X=np.zeros((3, 2)), y=np.zeros(2))
    with pytest.raises(UsageError, match="different lengths: X 3, y 2"):
        from_file(Path("a.npz"), "y", ())
    np.savez("a.npz", X=np.zeros((3, 2)), n=np.array(3))
    with pytest.raises(UsageError, match="with 0 axes"):
        from_file(Path("a.npz"), None, ())


def test_a_fifo_is_not_waited_for() -> None:
    os.mkfifo("a.csv")
    with pytest.raises(UsageError, match="a FIFO, not a file"):
        from_file(Path("a.csv"), None, ())


@pytest.mark.parametrize("reader", ["pyarrow", "duckdb"])
def test_either_reader_takes_a_file_of_parquet_by_its_whole_name(
    reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with brackets is no pattern of other files' names."""
    pd.DataFrame({"p": [9.0], "q": [9.0], "y": ["c"]}).to_parquet("rows1.parquet")
    path = table("rows[1].parquet", pd.DataFrame({"p": [1, 2], "q": [0.5, 1.5], "y": ["a", None]}))
    monkeypatch.setattr(_table, "find_spec", lambda name: name == reader or None)
    found = _table.read(path)
    assert list(found.columns) == ["p", "q", "y"]
    assert found.columns["q"].tolist() == [0.5, 1.5]
    assert found.columns["y"].tolist() == ["a", ""]


@pytest.mark.parametrize("reader", ["pyarrow", "duckdb"])
def test_either_reader_says_what_is_no_parquet(
    reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.parquet").write_bytes(b"p,q\n")
    monkeypatch.setattr(_table, "find_spec", lambda name: name == reader or None)
    with pytest.raises(UsageError, match=r"--data a\.parquet: not Parquet: ") as error:
        _table.read(Path("a.parquet"))
    assert "events-0" not in error.value.message


def test_without_a_reader_of_parquet_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(_table, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="pyarrow is not installed") as error:
        from_file(Path("a.parquet"), None, ())
    assert "pyarrow" in error.value.hint


@pytest.mark.parametrize(
    ("prediction", "label", "right"),
    [
        ([3], 3, True),
        ([3], 3.0, True),
        ([3], "3", True),
        ([3], 4, False),
        (["pos"], "pos", True),
        ([0.2, 0.5, 0.3], 1, True),
        ([0.2, 0.5, 0.3], 2, False),
        ([0.8], 1, True),
        ([0.8], 0, False),
        ([0.3], 0, True),
        (["a", "b"], 1, True),  # nobody can say what several texts mean but their order
        ([None, 1], 1, False),
    ],
)
def test_which_prediction_is_right(prediction: list[Any], label: Any, right: bool) -> None:
    assert is_right(prediction, label) is right


def test_how_far_a_prediction_is_off() -> None:
    assert distance([2.5], 4, squared=False) == 1.5
    assert distance([2.5], "4", squared=True) == 2.25
    assert distance(["x"], 4, squared=True) is None
    assert distance([1e200], 0, squared=True) is None


def test_a_prediction_is_the_first_output() -> None:
    assert prediction_of(b'{"outputs": [{"data": [[0.1, 0.9]]}, {"data": [7]}]}') == [0.1, 0.9]
    for body in (
        b"",
        b"[]",
        b"{}",
        b'{"outputs": []}',
        b'{"outputs": [{"data": []}]}',
        b"[" * 10**5,
    ):
        assert prediction_of(body) is None


class Says(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.says)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def model() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Says) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_model_is_asked_what_it_takes(model: ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{model.server_port}"
    experiment = parse(starter("iris", "envoy"), "t")
    other = parse(starter("iris", "envoy").replace("name: iris, v", "name: wine, v"), "t")
    options: dict[str, Any] = {"data": None, "label": None, "folder": None, "seed": 1}
    model.says = json.dumps({"inputs": list(FRAME)}).encode()  # type: ignore[attr-defined]
    assert takes_of(url, "iris") == FRAME
    found = examples(experiment, url, **options)
    assert found is not None
    request = json.loads(found.body(0))
    assert [each["datatype"] for each in request["inputs"]] == ["INT64", "BYTES"]
    assert found.labels is None
    for says in (b"no JSON", b"{}", b'{"inputs": [{"name": 1}]}', b"[" * 10**5):
        model.says = says  # type: ignore[attr-defined]
        assert takes_of(url, "iris") == ()
        assert examples(experiment, url, **options) is None
        with pytest.raises(UsageError, match="nothing says what model wine takes"):
            examples(other, url, **options)
    # An example beside the model goes before what it says, and --data before that.
    Path("example.csv").write_text("p,q\n1,2\n")
    found = examples(other, url, **{**options, "folder": Path()})
    assert found is not None
    assert inputs(found)[0]["data"] == [1, 2]
    Path("mine.csv").write_text("p\n7\n")
    found = examples(other, url, **{**options, "folder": Path(), "data": Path("mine.csv")})
    assert found is not None
    assert inputs(found)[0]["data"] == [7]


def test_random_values_have_the_shapes_and_datatypes_that_are_asked_for() -> None:
    takes = (
        {"name": "a", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "b", "datatype": "BOOL", "shape": [2]},
    )
    found = made_up(takes, 7, "m")
    one = json.loads(found.body(0))
    assert [each["shape"] for each in one["inputs"]] == [[1, 3], [2]]
    assert [len(each["data"]) for each in one["inputs"]] == [3, 2]
    assert made_up(takes, 7, "m").body(5) == found.body(5) != made_up(takes, 8, "m").body(5)
    with pytest.raises(UsageError, match="which is not a datatype of V2"):
        made_up(({"name": "a", "datatype": "FLOAT\x1b", "shape": [1]},), 0, "m")
    with pytest.raises(UsageError, match="values a request"):
        made_up(({"name": "a", "datatype": "FP32", "shape": [10**12]},), 0, "m")
