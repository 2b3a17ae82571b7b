"""Laws of every platform: whatever module there is in abctl.platforms must keep them."""

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl import plugins
from abctl.core.change import Change, Ref
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import SpecError
from abctl.platforms import platform

VARIANTS = [("control", "treatment"), ("control", "t-1", "t-2"), ("a", "b", "c", "d")]


pytestmark = pytest.mark.parametrize("name", plugins.names("abctl.platforms"))


def unit(carrier):
    return "user" if carrier.CAPABILITIES.sticky else "request"


def carried(carrier, experiment):
    target = carrier.target(experiment)
    return next(obj for obj in carrier.objects(experiment) if Ref.of(obj) == target)


def possible(carrier, names):
    """Splits on the platform's grain that keep every treatment within its region."""
    grain = TOTAL_BP // carrier.CAPABILITIES.parts
    widest = TOTAL_BP // (len(names) - 1) // grain
    shares = st.lists(
        st.integers(0, widest).map(lambda part: part * grain),
        min_size=len(names) - 1,
        max_size=len(names) - 1,
    )
    alone = st.sampled_from(names).map(lambda one: tuple(TOTAL_BP * (one == n) for n in names))
    return (shares.map(lambda found: (TOTAL_BP - sum(found), *found)) | alone).map(
        lambda shares_bp: Split(names, shares_bp)
    )


@pytest.mark.parametrize("names", VARIANTS, ids=len)
@given(data=st.data())
def test_round_trip_leaves_the_input_and_everything_else_alone(name, names, make_experiment, data):
    carrier = platform(name)
    if (most := carrier.CAPABILITIES.max_variants) is not None and len(names) > most:
        with pytest.raises(SpecError):
            carrier.objects(make_experiment(*names, unit=unit(carrier)))
        return
    obj = carried(carrier, make_experiment(*names, unit=unit(carrier)))
    kept = deepcopy(obj)
    one, two = (data.draw(possible(carrier, names)) for _ in range(2))
    with_one = carrier.with_split(obj, one)
    assert carrier.split_of(with_one) == one
    assert obj == kept
    # Nothing of what was there before is left: not in the weights, not anywhere else.
    assert carrier.with_split(carrier.with_split(obj, two), one) == with_one
    assert carrier.with_split(with_one, one) == with_one
    assert carrier.with_split(with_one, carrier.split_of(obj)) == kept
    assert {**with_one, "metadata": None}.keys() == {**kept, "metadata": None}.keys()
    assert with_one["metadata"] == kept["metadata"]


def test_it_carries_the_split_that_the_experiment_starts_with(name, make_experiment):
    carrier = platform(name)
    experiment = make_experiment(unit=unit(carrier), shares_bp=(7000, 3000))
    assert carrier.split_of(carried(carrier, experiment)) == experiment.split


def test_a_change_of_the_split_is_a_small_patch_of_tested_values(name, make_experiment):
    carrier = platform(name)
    experiment = make_experiment(unit=unit(carrier))
    obj = carried(carrier, experiment)
    split = Split(experiment.split.names, (5000, 5000))
    operations = Change(obj, carrier.with_split(obj, split)).json_patch()
    assert operations
    assert operations[0]["op"] == "test"
    assert not [o for o in operations if o["path"].split("/")[1] in {"metadata", "kind"}]


def test_a_split_off_its_grain_is_refused(name, make_experiment):
    carrier = platform(name)
    obj = carried(carrier, make_experiment(unit=unit(carrier)))
    off = Split(("control", "treatment"), (TOTAL_BP - 1, 1))
    if carrier.CAPABILITIES.parts == TOTAL_BP:
        assert carrier.split_of(carrier.with_split(obj, off)) == off
    else:
        with pytest.raises(SpecError):
            carrier.with_split(obj, off)


def test_other_variants_are_refused(name, make_experiment):
    carrier = platform(name)
    obj = carried(carrier, make_experiment(unit=unit(carrier)))
    for names in (("treatment", "control"), ("control", "other")):
        with pytest.raises(SpecError):
            carrier.with_split(obj, Split(names, (5000, 5000)))


def test_a_treatment_over_its_region_is_refused(name, make_experiment):
    carrier = platform(name)
    if not carrier.CAPABILITIES.sticky:
        pytest.skip(f"{name} moves no users, as it holds none")
    names = ("control", "t-1", "t-2")
    obj = carried(carrier, make_experiment(*names))
    with pytest.raises(SpecError, match="region"):
        carrier.with_split(obj, Split(names, (3000, 6000, 1000)))


def test_an_object_without_a_status_says_nothing_of_itself(name, make_experiment):
    carrier = platform(name)
    obj = carried(carrier, make_experiment(unit=unit(carrier)))
    assert carrier.programmed(obj) is None
    assert carrier.refusal(obj) is None


def test_objects_are_plain_json_with_labels_and_addresses(name, make_experiment):
    carrier = platform(name)
    experiment = make_experiment(unit=unit(carrier))
    objects = carrier.objects(experiment)
    assert json.loads(json.dumps(objects)) == objects
    assert len({Ref.of(obj) for obj in objects}) == len(objects)
    for obj in objects:
        assert Ref.of(obj).namespace == experiment.namespace
        assert obj["metadata"]["labels"]["abctl.dev/experiment"] == experiment.name
