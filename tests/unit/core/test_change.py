"""A change and its JSON Patch."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.change import Change, Ref, patched
from abctl.errors import ClusterError, ConflictError

KEYS = st.text("ab~/0", min_size=1, max_size=3)
# Python takes 1 for True, JSON does not; Kubernetes fields never change between the two.
LEAVES = st.none() | st.text(max_size=3) | st.integers(min_value=2)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, TREES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_the_patch_leads_from_before_to_after_and_touches_no_input(before, after):
    kept = deepcopy(before)
    assert patched(before, Change(before, after).json_patch()) == after
    assert before == kept


@given(OBJECTS, OBJECTS)
def test_whatever_is_overwritten_is_tested_first(before, after):
    operations = Change(before, after).json_patch()
    for previous, operation in zip([None, *operations], operations, strict=False):
        if operation["op"] in {"replace", "remove"}:
            assert (previous["op"], previous["path"]) == ("test", operation["path"])


@given(OBJECTS, OBJECTS, OBJECTS)
def test_who_comes_second_is_told(before, after, other):
    """A patch made from another state either fails, or what it overwrites is the same."""
    operations = Change(before, after).json_patch()
    try:
        result = patched(other, operations)
    except ClusterError:
        return
    for operation in operations:
        if operation["op"] == "test":
            assert _at(other, operation["path"]) == operation["value"]
    assert all(_at(result, o["path"]) == o["value"] for o in operations if o["op"] == "replace")


def _at(obj, path):
    steps = (step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:])
    for step in steps:
        obj = obj[int(step)] if isinstance(obj, list) else obj[step]
    return obj


def test_a_failed_test_is_a_conflict_that_names_the_place():
    with pytest.raises(ConflictError, match="/a/b: changed"):
        patched({"a": {"b": 2}}, [{"op": "test", "path": "/a/b", "value": 3}])
    with pytest.raises(ConflictError, match="/a/c: is not there"):
        patched({"a": {"b": 2}}, [{"op": "test", "path": "/a/c", "value": 3}])


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/nowhere", "value": 2},
        {"op": "remove", "path": "/a/7"},
        {"op": "add", "path": "/a/9", "value": 2},
        {"op": "add", "path": "/a/-1", "value": 2},
        {"op": "add", "path": "/a/x", "value": 2},
        {"op": "replace", "path": "/text/x", "value": 2},
        {"op": "move", "path": "/a", "from": "/text"},
    ],
)
def test_a_path_that_leads_nowhere_changes_nothing(operation):
    obj = {"a": [5], "text": "t"}
    with pytest.raises(ClusterError, match=operation["path"]) as caught:
        patched(obj, [{"op": "add", "path": "/new", "value": 3}, operation])
    assert not isinstance(caught.value, ConflictError)
    assert obj == {"a": [5], "text": "t"}


def test_lists_take_insertions_and_appends():
    obj = {"a": [5, 7]}
    assert patched(obj, [{"op": "add", "path": "/a/1", "value": 6}]) == {"a": [5, 6, 7]}
    assert patched(obj, [{"op": "add", "path": "/a/-", "value": 8}]) == {"a": [5, 7, 8]}


def test_a_change_knows_its_address_and_whether_it_is_one():
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    assert Change(obj, deepcopy(obj)).empty
    assert not Change(None, obj).empty
    assert Change(None, obj).ref == Ref("v1", "ConfigMap", "default", "x")
    assert patched({}, Change(None, obj).json_patch()) == obj
