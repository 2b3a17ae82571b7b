"""Each column of a table is asked for one thing, and what is asked can be answered."""

import pytest

from abctl.errors import SourceError, UsageError
from abctl.tables.count import count
from abctl.tables.engine import opened
from abctl.tables.paired import count_pairs
from abctl.tables.question import Question, parse_metric, with_roles

ACCURACY = (parse_metric("accuracy: mean(correct)", "primary"),)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"unit": "model"}, "--unit 'model' is the column of --variant"),
        ({"segments": ("model",)}, "--segment 'model' is the column of --variant"),
        ({"unit": "user", "answer": "user"}, "--answer 'user' is the column of --unit"),
        ({"segments": ("land", "land")}, "--segment 'land' is given twice"),
        ({"segments": ("correct",)}, "--segment 'correct' is measured"),
    ],
)
def test_a_column_says_one_thing(asked: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Question("model", asked.pop("unit", None), ACCURACY, **asked)


def test_a_column_may_be_counted_and_grouped_by() -> None:
    counted = (parse_metric("rows: count(user)", "primary"),)
    assert (
        Question("model", "user", counted, segments=("land",), answer="prediction").unit == "user"
    )


def test_without_a_pair_there_is_no_verdict(tmp_path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user,model,correct\n" + "a,v1,1\na,v1,1\nb,v2,0\nc,v1,1\n")
    with (
        opened(str(log)) as table,
        pytest.raises(SourceError, match=r"2 have none of v2, 1 none of v1, 1 several"),
    ):
        count_pairs(table, Question("model", "user", ACCURACY))


@pytest.mark.parametrize("shares", ["v1=90%", "v2=10%"])
def test_a_split_of_one_variant_is_told_as_such(tmp_path, shares: str) -> None:
    log = tmp_path / "log.csv"
    log.write_text("model,correct\nv1,1\nv2,0\n")
    with opened(str(log)) as table, pytest.raises(UsageError, match="names one variant"):
        count(table, Question("model", None, ACCURACY, shares=shares))


def test_the_hint_that_names_a_control_can_be_pasted_into_a_shell(tmp_path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("model,correct\nold; rm x,1\nnew one,0\n")
    with opened(str(log)) as table, pytest.raises(UsageError) as caught:
        count(table, Question("model", None, ACCURACY))
    assert caught.value.hint == "--control 'new one'"


def test_a_bound_is_a_number_that_can_be_reached() -> None:
    with pytest.raises(UsageError, match="1e400 is too large"):
        parse_metric("slow: share(latency > 1e400)")


def test_guardrails_alone_are_told_what_is_missing() -> None:
    with pytest.raises(UsageError, match="beside the guardrails"):
        with_roles((), ("latency: p95(latency) +10%",))
