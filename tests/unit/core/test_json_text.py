"""Small changes of a JSON text: what it says then, and that nothing else of it differs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)
# As people, jq and Go write it.
LAYOUTS = st.sampled_from(
    [{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}, {"ensure_ascii": False}]
)
ODD = '\r\n{ "a\\"]" :[ {"b":  1 } ,[ 2,"x,}" ] ]\t, "c": -1.5e3}\n'


def places(value, at=()):
    yield at, value
    inside = (
        value
        if isinstance(value, dict)
        else dict(enumerate(value if isinstance(value, list) else ()))
    )
    for key, each in inside.items():
        yield from places(each, (*at, key))


@given(value=VALUES, layout=LAYOUTS)
def test_every_value_is_found_where_it_stands(value, layout):
    text = f" {json.dumps(value, **layout)}\n"
    for at, each in places(value):
        start, end = json_text.span(text, at)
        assert json.loads(text[start:end]) == each
        assert text[start:end] == text[start:end].strip()


@given(value=OBJECTS, layout=LAYOUTS, new=st.integers(), data=st.data())
def test_what_is_replaced_is_all_that_differs(value, layout, new, data):
    text = json.dumps(value, **layout)
    at, _ = data.draw(st.sampled_from(list(places(value))))
    start, end = json_text.span(text, at)
    assert json_text.replaced(text, {at: new}) == f"{text[:start]}{new}{text[end:]}"


@given(value=OBJECTS, layout=LAYOUTS, key=st.text(), new=VALUES)
def test_a_member_comes_last_and_goes_again(value, layout, key, new):
    text = json.dumps(value, **layout)
    after = json_text.with_member(text, (), key, new)
    assert json_text.parse(after) == {**value, key: new}
    assert list(json_text.parse(after)) == list({**value, key: new})
    less = json_text.parse(json_text.without_member(after, (), key))
    assert less == {name: each for name, each in value.items() if name != key}


@given(value=VALUES)
def test_what_is_laid_out_says_the_same(value):
    assert json_text.parse(json_text.laid_out(value)) == value


def test_a_text_of_people_keeps_every_space_of_theirs():
    after = json_text.replaced(ODD, {('a"]', 1, 0): 7, ('a"]', 1, 2): 8, ("c",): 9})
    assert after == ODD.replace("2,", "7,").replace('"x,}"', '"x,}", 8').replace("-1.5e3", "9")
    assert json_text.without_member(after, (), "c") == after.replace('\t, "c": 9', "")
    assert json_text.without_member(ODD, (), 'a"]') == '\r\n{ "c": -1.5e3}\n'


def test_a_member_of_an_empty_object_has_lines_of_its_own():
    after = json_text.with_member('{\n  "flags": {}\n}\n', ("flags",), "iris", {"a": 1})
    assert after == '{\n  "flags": {\n    "iris": {"a": 1}\n  }\n}\n'
    assert json_text.without_member(after, ("flags",), "iris") == '{\n  "flags": {}\n}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "'a' comes twice"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1,}', "line 1"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        json_text.parse(text)


@pytest.mark.parametrize("at", [("x",), ('a"]', 5), ('a"]', 0, "b", 0)])
def test_a_place_that_is_not_there_is_refused(at):
    with pytest.raises(LookupError):
        json_text.replaced(ODD, {at: 1})
