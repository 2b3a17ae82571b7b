"""What comes into the public face is understood or refused, whichever library it is of."""

import datetime as dt
import html
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import abctl.stats
from abctl.stats import (
    Comparison,
    Delta,
    Result,
    compare_means,
    compare_paired,
    compare_proportions,
    compare_quantiles,
    compare_ratios,
    sample_size_means,
    sample_size_proportions,
)

RNG = np.random.default_rng(1)
ONE, OTHER = RNG.normal(10.0, 2.0, 80), RNG.normal(11.0, 2.0, 90)
COLUMNS = {
    "model": np.array(["v1", "v2"] * 300),
    "user": np.arange(600) // 3 * 2 + np.arange(600) % 2,
    "value": RNG.exponential(5.0, 600),
    "good": RNG.random(600) < 0.7,
    "at": np.datetime64("2026-03-01", "ms") + np.arange(600) * 60_000,
}
FRAMES = {
    "dict": COLUMNS,
    "pandas": pd.DataFrame(COLUMNS),
    "polars": pl.DataFrame(COLUMNS),
    "pyarrow": pa.table(COLUMNS),
}
COLUMN_KINDS = [list, tuple, np.array, pd.Series, pl.Series, pa.array, pa.chunked_array]


@pytest.mark.parametrize(
    "kind", COLUMN_KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
def test_any_kind_of_column_is_read(kind) -> None:
    wrap = (lambda values: kind([values])) if kind is pa.chunked_array else kind
    assert compare_means(wrap(ONE), wrap(OTHER)) == compare_means(ONE, OTHER)


@pytest.mark.parametrize("name", FRAMES)
def test_any_kind_of_frame_is_read(name) -> None:
    def answers(frame) -> list[Result]:
        by_row = Comparison(frame, variant="model", control="v1")
        by_user = Comparison(frame, variant="model", control="v1", unit="user", time="at")
        hourly = dt.timedelta(hours=1)
        often = Comparison(frame, variant="model", control="v1", time="at", every=hourly)
        return [
            by_row.means("value"),
            by_row.quantiles("value", 0.5),
            by_user.proportions("good", mde="5pp"),
            often.means("value", mde="10%"),
        ]

    found = answers(FRAMES[name])
    assert found == answers(COLUMNS)
    assert [each.sequential for each in found] == [False, False, True, True]


BAD_COLUMNS = [
    ([], ValueError, "control: is empty"),
    (5.0, TypeError, "control: must be a column of values, is float"),
    ("revenue", TypeError, "control: must be a column of values, is str"),
    (None, TypeError, "control: must be a column"),
    (["1", "2"], TypeError, "control: must be numbers"),
    (np.array(["1", 2.0], dtype=object), TypeError, "control: row 0 is '1'"),
    (pd.Series([1, None, 2], dtype="Int64"), (TypeError, ValueError), "row 1"),
    (
        [1.0, np.nan, np.inf],
        ValueError,
        "control: 2 of 3 values are not finite, the first in row 1",
    ),
    (pl.Series([1, None, 2]), ValueError, "control: 1 of 3 values is not finite"),
    (np.ones((3, 2)), ValueError, "control: must have one axis"),
    (np.array([1j, 2j]), TypeError, "control: must be numbers"),
    (COLUMNS["at"], TypeError, "control: must be numbers, is datetime64"),
    (np.ma.masked_array([1.0, 2.0], [True, False]), ValueError, "masked"),
    ({1.0, 2.0}, ValueError, "control: must have one axis"),
]


@pytest.mark.parametrize(("values", "error", "text"), BAD_COLUMNS)
def test_what_is_no_column_of_numbers_is_refused(values, error, text) -> None:
    for compare in (
        lambda: compare_means(values, OTHER),
        lambda: compare_quantiles(values, OTHER, 0.5),
    ):
        with pytest.raises(error) as raised:
            compare()
        assert text in str(raised.value)


OPTIONS = [
    ({"alternative": "greater than"}, ValueError, "alternative 'greater than'"),
    ({"alternative": None}, ValueError, "alternative None"),
    ({"alpha": 5}, ValueError, "alpha 5"),
    ({"alpha": "0.05"}, TypeError, "alpha='0.05'"),
    ({"alpha": True}, TypeError, "alpha=True"),
    ({"mde": 0.02}, TypeError, "mde: 0.02 is not a size of effect; write 2pp"),
    ({"mde": "2"}, ValueError, "mde: '2' could be points or percent, must say which; write 2pp"),
    ({"null": "-2%"}, ValueError, "null: '-2%'"),
    ({"null": Delta(float("nan"), relative=False)}, ValueError, "null nan"),
    ({"equal_var": True}, ValueError, "equal_var=True"),
    ({"usevar": "pooled"}, TypeError, "usevar='pooled': no such option"),
    ({"conf_level": 0.95}, TypeError, "conf_level=0.95"),
]


@pytest.mark.parametrize(("options", "error", "text"), OPTIONS)
def test_words_that_say_nothing_here_are_refused(options, error, text) -> None:
    with pytest.raises(error) as raised:
        compare_means(ONE, OTHER, **options)
    assert text in str(raised.value)


def test_counts_are_never_taken_for_each_other() -> None:
    with pytest.raises(TypeError):
        compare_proportions((10, 12), (90, 100))  # statsmodels' order of successes and trials
    for pair, text in (
        ((1000, 100), "must be (successes, trials)"),
        ((0.1, 1000), "whole numbers"),
        ((1, 2, 3), "must be (successes, trials)"),
        ((0, 0), "a trial at least"),
        ((-1, 10), "from 0"),
        ([10, 1000], "10 is neither 0 nor 1; counts are a tuple"),
    ):
        with pytest.raises(ValueError) as raised:
            compare_proportions(control=pair, treatment=(5, 10))
        assert text in str(raised.value)


def test_columns_of_unlike_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="before, treatment has 80 rows, treatment has 90"):
        compare_means(ONE, OTHER, before=(ONE, ONE))
    with pytest.raises(ValueError, match="denominator of control has 90 rows"):
        compare_ratios((ONE, OTHER), (ONE, ONE))
    with pytest.raises(ValueError, match="is negative"):
        compare_ratios((ONE, ONE), (ONE, -ONE))
    with pytest.raises(TypeError, match="control: must be two columns"):
        compare_ratios(ONE, (ONE, ONE))


CHANGED = [
    ({"variant": "arm"}, "no column 'arm'; there are 'model', 'user'"),
    ({"control": "v9"}, "control='v9': no such variant; there are 'v1', 'v2'"),
    ({"treatment": "v1"}, "treatment='v1': is the control"),
    ({"treatment": "v3"}, "treatment='v3': no such variant"),
    ({"every": 60}, "every=60: is for times"),
    ({"time": "at", "every": 0}, "every=0"),
    ({"time": "at", "every": 1e-3}, "every=0.001: makes 35,940,000 polls"),
    ({"time": "model"}, "time: "),
    ({"unit": "model", "variant": "good", "control": True}, "units are in both variants"),
]


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize(("changed", "text"), CHANGED)
def test_a_frame_that_does_not_fit_is_refused(name, changed, text) -> None:
    asked = {"variant": "model", "control": "v1", **changed}
    with pytest.raises((ValueError, TypeError)) as raised:
        Comparison(FRAMES[name], **asked)
    assert text in str(raised.value)


def test_rows_that_say_nothing_are_refused() -> None:
    frame = pd.DataFrame(COLUMNS)
    for column, at in (("model", "variant"), ("user", "unit"), ("at", "time")):
        broken = frame.copy()
        broken[column] = broken[column].astype(object) if column != "at" else broken[column]
        broken.loc[3, column] = pd.NaT if column == "at" else None
        with pytest.raises(ValueError, match=f"{at}: 1 of 600 rows have none"):
            Comparison(broken, variant="model", control="v1", unit="user", time="at")
    with pytest.raises(TypeError, match="data: must be a data frame"):
        Comparison([1, 2], variant="model", control="v1")
    with pytest.raises(ValueError, match="treatment: must be named, as there are 'v2', 'v3'"):
        Comparison({"model": ["v1", "v2", "v3"]}, variant="model", control="v1")


def test_of_several_treatments_the_named_one_is_compared() -> None:
    three = {"model": np.tile(["v1", "v2", "v3"], 100), "value": RNG.normal(size=300)}
    found = Comparison(three, variant="model", control="v1", treatment="v3").means("value")
    assert found == compare_means(three["value"][::3], three["value"][2::3], name="value")


def test_sizes_are_checked() -> None:
    for call, text in (
        (lambda: sample_size_proportions(5, "2pp"), "baseline=5: must be a share"),
        (lambda: sample_size_proportions(0.05, 0.02), "mde: 0.02 is not a size"),
        (lambda: sample_size_proportions(0.99, "2pp"), "out of [0, 1]"),
        (lambda: sample_size_proportions(0.05, "2pp", power=80), "power=80"),
        (lambda: sample_size_proportions(0.05, "2pp", test="obf"), "test='obf'"),
        (lambda: sample_size_means("5%", sd=2.0), "so the baseline is needed"),
        (lambda: sample_size_means("0.5abs", sd=-2.0), "sd=-2"),
        (lambda: sample_size_means("0.5abs", sd=2.0, alternative="both"), "alternative 'both'"),
    ):
        with pytest.raises((ValueError, TypeError)) as raised:
            call()
        assert text in str(raised.value)


def test_a_result_without_an_estimate_lets_a_loop_go_on() -> None:
    found = compare_means(ONE[:5], OTHER, name="few")
    assert (found.rejects, np.isnan(found.p), found.why.code) == (False, True, "tooFewValues")
    assert str(found).startswith("few: no estimate yet, tooFewValues")
    assert "tooFewValues" in found._repr_html_()


def test_results_are_read_by_people_and_programs() -> None:
    name = "<script>alert(1)</script>"
    found = compare_means(ONE, OTHER, name=name)
    assert html.escape(name) in found._repr_html_()
    assert name not in found._repr_html_()
    for library in ("pandas", "polars"):
        frame = found.to_frame(library)
        assert type(frame).__module__.startswith(library)
        assert frame["p"].to_list() == [found.p]
    with pytest.raises(ValueError, match="library='duckdb'"):
        found.to_frame("duckdb")
    assert json.loads(json.dumps(found.to_dict()))["effect"] == found.effect


@pytest.mark.process
def test_names_are_loaded_when_they_are_asked_for() -> None:
    assert all(getattr(abctl.stats, name) is not None for name in abctl.stats.__all__)
    with pytest.raises(AttributeError, match="no attribute 'ttest'"):
        _ = abctl.stats.ttest
    code = "import sys, abctl.stats; assert not {'numpy', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("unit", [1e-65, 1e-9, 1.0, 1e9, 1e65])
def test_the_unit_changes_no_p(unit) -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(10.0, 2.0, (2, 400)) + np.array([[0.0], [0.3]])
    for compare in (compare_means, compare_paired):
        wanted = compare(one, other).p
        assert compare(unit * one, unit * other).p == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("unit", [1e-160, 1e-80, 1e80, 1e150, 1e300])
def test_units_in_which_squares_are_no_numbers_are_refused(unit) -> None:
    """Of 1e150 p was 1, of 1e-160 0.18, where it is 0.0007."""
    values = unit * np.arange(1.0, 101.0)
    for compare in (compare_means, compare_paired):
        with pytest.raises(ValueError, match="another unit"):
            compare(values, values + 3.0 * unit)


@pytest.mark.parametrize("count", [10**400, 1e300])
def test_counts_beyond_all_measure_are_refused(count) -> None:
    with pytest.raises(ValueError, match="control"):
        compare_proportions(control=(count, count), treatment=(1, 2))
