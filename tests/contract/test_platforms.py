"""Laws of every platform: whatever module there is in abctl.platforms must keep them."""

import json
import re
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abctl import plugins
from abctl.core.change import Change, Ref
from abctl.core.experiment import Cohort, Entrance, Model, Shadow
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import ClusterError, SpecError
from abctl.platforms import platform, written

VARIANTS = [("control", "treatment"), ("control", "t-1", "t-2"), ("a", "b", "c", "d")]


pytestmark = pytest.mark.parametrize("name", plugins.names("abctl.platforms"))


MODEL = Model("iris", "v1", "registry/iris:v1", "gs://models/iris/v1", "sklearn")


@pytest.fixture
def carrier(name):
    return platform(name)


@pytest.fixture
def make(carrier, make_experiment):
    """Makes an experiment that the platform can express, if the variants allow it."""
    can = carrier.CAPABILITIES

    def made(*names, **rules):
        experiment = make_experiment(
            *names, **{"unit": "user" if can.sticky else "request"} | rules
        )
        return replace(
            experiment,
            variants=tuple(replace(v, model=MODEL) for v in experiment.variants),
            entrance=Entrance("gateways/public", "iris.example.com") if can.entrance else None,
        )

    return made


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


@pytest.mark.slow
@pytest.mark.parametrize("names", VARIANTS, ids=len)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_round_trip_leaves_the_input_and_everything_else_alone(carrier, names, make, data):
    if (most := carrier.CAPABILITIES.max_variants) is not None and len(names) > most:
        with pytest.raises(SpecError):
            carrier.objects(make(*names))
        return
    obj = carried(carrier, make(*names))
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


def test_it_carries_the_split_that_the_experiment_starts_with(carrier, make):
    experiment = make(shares_bp=(7000, 3000))
    assert carrier.split_of(carried(carrier, experiment)) == experiment.split


def test_a_change_of_the_split_is_a_small_patch_of_tested_values(carrier, make):
    experiment = make()
    obj = carried(carrier, experiment)
    split = Split(experiment.split.names, (5000, 5000))
    operations = Change(obj, carrier.with_split(obj, split)).json_patch()
    assert operations
    assert operations[0]["op"] == "test"
    assert not [o for o in operations if o["path"].split("/")[1] in {"metadata", "kind"}]


def test_a_split_off_its_grain_is_refused(carrier, make):
    obj = carried(carrier, make())
    off = Split(("control", "treatment"), (TOTAL_BP - 1, 1))
    if carrier.CAPABILITIES.parts == TOTAL_BP:
        assert carrier.split_of(carrier.with_split(obj, off)) == off
    else:
        with pytest.raises(SpecError):
            carrier.with_split(obj, off)


def test_other_variants_are_refused(carrier, make):
    obj = carried(carrier, make())
    for names in (("treatment", "control"), ("control", "other")):
        with pytest.raises(SpecError):
            carrier.with_split(obj, Split(names, (5000, 5000)))


def test_a_treatment_over_its_region_is_refused(carrier, make):
    if not carrier.CAPABILITIES.sticky:
        pytest.skip("it moves no users, as it holds none")
    names = ("control", "t-1", "t-2")
    obj = carried(carrier, make(*names))
    with pytest.raises(SpecError, match="region"):
        carrier.with_split(obj, Split(names, (3000, 6000, 1000)))


def test_an_object_without_a_status_is_in_effect_for_nobody(carrier, make):
    obj = carried(carrier, make())
    assert carrier.programmed(obj) is None
    # Where a controller will report, its silence is a reason to wait.
    silent = carrier.CAPABILITIES.reports == "nothing" or obj["kind"] == "ConfigMap"
    assert (carrier.refusal(obj) is None) == silent


def test_objects_are_plain_json_with_labels_and_addresses(carrier, make):
    experiment = make()
    objects = carrier.objects(experiment)
    assert json.loads(json.dumps(objects)) == objects
    assert len({Ref.of(obj) for obj in objects}) == len(objects)
    for obj in objects:
        assert Ref.of(obj).namespace == experiment.namespace
        assert obj["metadata"]["labels"]["abctl.dev/experiment"] == experiment.name


def test_nothing_that_it_renders_is_refused_by_its_own_admission(carrier, make):
    for obj in (*carrier.baseline(make()), *carrier.objects(make())):
        assert carrier.objections(obj) == ()


def test_what_is_rolled_out_first_is_there_afterwards_too(carrier, make):
    refs = [Ref.of(obj) for obj in carrier.objects(make())]
    assert all(Ref.of(obj) in refs for obj in carrier.baseline(make()))


def test_it_says_how_it_places_a_unit_if_it_does(carrier, make):
    can = carrier.CAPABILITIES
    assert can.sticky == (can.draw is not None)
    if can.draw:
        experiment = make("control", "t-1", "t-2", shares_bp=(7000, 1000, 2000))
        place = can.draw(experiment.assignment, experiment.split, "user-1")
        assert place.start <= place.point < place.stop
        assert place.variant in experiment.split.names


RULES = {
    "sticky": ({"unit": "user"}, "assignment.unit"),
    "override": ({"override": "x-force"}, "assignment.override"),
    "cohorts": ({"cohorts": (Cohort("x-c", "v", "control"),)}, "assignment.cohorts"),
}


@pytest.mark.parametrize("ability", RULES)
def test_what_it_cannot_do_is_refused_and_who_can_is_named(carrier, make, ability):
    rules, place = RULES[ability]
    if getattr(carrier.CAPABILITIES, ability):
        assert not carrier.misfits(make(**rules))
        return
    with pytest.raises(SpecError, match=place) as caught:
        carrier.objects(make(**rules))
    assert "envoy" in caught.value.hint
    assert [misfit.place for misfit in carrier.misfits(make(**rules))]


def test_a_shadow_gets_copies_and_never_a_share(carrier, make):
    plain = make(shares_bp=(7000, 3000))
    shadowed = replace(plain, shadow=Shadow("next", MODEL, 10))
    if not carrier.CAPABILITIES.shadow:
        with pytest.raises(SpecError, match="cannot copy requests") as caught:
            carrier.objects(shadowed)
        assert "envoy" in caught.value.hint
        return
    obj, without = carried(carrier, shadowed), carried(carrier, plain)
    assert "next" in json.dumps(obj)
    assert carrier.split_of(obj) == plain.split
    # A shift is the same few operations as without it, so the shadow stays as it is.
    split = Split(plain.split.names, (1000, 9000))
    changes = [Change(o, carrier.with_split(o, split)).json_patch() for o in (obj, without)]
    assert [o["path"] for o in changes[0]] == [o["path"] for o in changes[1]]
    assert json.dumps(carrier.with_split(obj, split)).count("next") == json.dumps(obj).count("next")
    own = [o for o in carrier.objects(shadowed) if labels(o).get("abctl.dev/variant") == "next"]
    assert len(carrier.objects(shadowed)) == len(carrier.objects(plain)) + len(own)
    assert not [said for o in carrier.objects(shadowed) for said in carrier.objections(o)]


def labels(obj):
    return obj["metadata"]["labels"]


def test_a_shift_is_refused_where_nothing_carries_a_split(carrier, make):
    obj = carried(carrier, make())
    empty = {key: value for key, value in obj.items() if key in ("apiVersion", "kind", "metadata")}
    with pytest.raises(ClusterError, match=obj["metadata"]["name"]):
        carrier.split_of(empty)
    with pytest.raises(ClusterError):
        carrier.with_split(empty, Split(("control", "treatment"), (5000, 5000)))


def steps_of(path):
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def inside(obj, steps):
    for step in steps:
        obj = obj[int(step) if isinstance(obj, list) else step]
    return obj


# What hands leave behind: no share at all, a sum of 90, less than nothing, a text, nothing.
HANDS = {"none": 0, "ninety": 45, "negative": -1, "text": "many", "gone": None}
TEXTS = {"none": "0", "ninety": "45", "negative": "-1", "text": '"many"', "gone": "null"}


def by_hand(carrier, obj, how):
    """The object with the weights that somebody has written into it, wherever it has any."""
    split = carrier.split_of(obj)
    other = carrier.with_split(obj, Split(split.names, (5000, 5000)))
    after = deepcopy(obj)
    for operation in Change(obj, other).json_patch():
        *above, last = steps_of(operation["path"])
        if operation["op"] == "test":
            continue
        where = inside(after, above)
        key = int(last) if isinstance(where, list) else last
        if isinstance(where[key], str):  # a file of a proxy
            where[key] = re.sub(r'("weight": )\d+', rf"\g<1>{TEXTS[how]}", where[key])
            where[key] = re.sub(r'(\["[\w-]+", )\d+', rf"\g<1>{TEXTS[how]}", where[key])
            where[key] = re.sub(r"\b\d+(%\s+\w+;)", rf"{TEXTS[how]}\g<1>", where[key])
        elif HANDS[how] is not None:
            where[key] = HANDS[how]
        elif isinstance(where, dict):
            del where[key]
        else:
            del where[key:]
    assert after != obj
    return after


@pytest.mark.parametrize("how", HANDS)
def test_the_way_back_is_open_whatever_a_hand_has_written(carrier, make, how):
    obj = carried(carrier, make(shares_bp=(7000, 3000)))
    damaged = by_hand(carrier, obj, how)
    kept = deepcopy(damaged)
    sound = None
    with suppress(ClusterError):  # and nothing else
        sound = carrier.split_of(damaged)
    carrier.objections(damaged)
    for shares_bp in ((TOTAL_BP, 0), (0, TOTAL_BP)):
        split = Split(("control", "treatment"), shares_bp)
        back = written(carrier, damaged, split)
        assert carrier.split_of(back) == split
        assert damaged == kept
        assert carrier.objections(back) == ()
        # Nothing of it is left: it is what a shift of the sound object would have written.
        assert sound == split or back == carrier.with_split(obj, split)


def test_the_way_back_is_open_with_a_target_that_nobody_knows(carrier, make):
    obj = carried(carrier, make(shares_bp=(7000, 3000)))
    after = deepcopy(obj)
    moved = carrier.with_split(obj, Split(("control", "treatment"), (5000, 5000)))
    for operation in Change(obj, moved).json_patch():
        steps = steps_of(operation["path"])
        lists = [i for i in range(len(steps)) if isinstance(inside(after, steps[:i]), list)]
        if operation["op"] == "test" or not lists:
            continue
        # flagd has a pair in a list, the others an object in one.
        at = lists[-2] if isinstance(inside(after, steps[: lists[-1]])[0], str) else lists[-1]
        targets = inside(after, steps[:at])
        if "other" not in json.dumps(targets):
            targets.append(json.loads(json.dumps(targets[-1]).replace("treatment", "other")))
    names = carrier.split_of(after).names
    split = Split(names, tuple(TOTAL_BP * (name == "control") for name in names))
    back = written(carrier, after, split)
    assert carrier.split_of(back) == split
    if carrier.CAPABILITIES.max_variants is None and obj["kind"] != "ConfigMap":
        assert len(names) == 3
