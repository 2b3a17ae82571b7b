"""flagd's flags as a text: which of them splits, what a shift leaves alone, what is refused."""

import json
from dataclasses import replace

import pytest

from abctl.cluster.directory import DirectoryClient
from abctl.core import json_text
from abctl.core.change import Ref
from abctl.core.experiment import Model, Outcome, PredictionLog
from abctl.core.split import Split
from abctl.core.template import Template, Templates
from abctl.errors import ClusterError, ConflictError, SpecError
from abctl.platforms import _flag_rules, envoy, flagd, flagset
from abctl.session import apply, delete
from abctl.session.session import Session


def config_map(**data):
    meta = {"name": "flags", "namespace": "models"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def rule(*parts, **flag):
    names = {part[0]: part[0] for part in parts}
    whole = {"state": "ENABLED", "variants": names, "defaultVariant": parts[0][0], **flag}
    return {**whole, "targeting": {"fractional": list(parts)}}


def flags(**each):
    return json.dumps({"flags": each})


PLAIN = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}


def test_the_text_has_the_flag_that_a_feature_flag_has(make_experiment):
    experiment = make_experiment("control", "t-1", "t-2", shares_bp=(6500, 1000, 2500))
    text = flagset.objects(experiment)[-1]["data"][flagset.KEY]
    assert json.loads(text) == {"flags": {"iris": _flag_rules.flag(experiment)}}
    assert flagset.CAPABILITIES.draw is flagd.CAPABILITIES.draw


def test_a_shift_changes_numbers_of_one_text_alone():
    text = '{"flags":{"x":{"state":"ENABLED","variants":{"a":1,"b":2},"defaultVariant":"a",\n'
    text += ' "targeting":{"fractional":[ ["a"],["b" , 3] ]}}, "other": 1.50}}'
    obj = config_map(**{"flags.json": text.replace("1.50", json.dumps(PLAIN)), "notes": "{"})
    after = flagset.with_split(obj, Split(("a", "b"), (6000, 4000)))
    wanted = obj["data"]["flags.json"].replace('["a"]', '["a", 6000]').replace(", 3]", ", 4000]")
    assert after["data"] == {"flags.json": wanted, "notes": "{"}
    assert flagset.CAPABILITIES.besides(obj) == ["notes", "flag other"]


def test_of_several_texts_that_is_meant_whose_flag_is_called_as_the_object():
    one, two = rule(["a", 1], ["b", 1]), rule(["a", 3], ["b", 1])
    alone = config_map(one=flags(x=PLAIN), two=flags(y=two))
    assert flagset.split_of(alone).shares_bp == (7500, 2500)
    named = config_map(one=flags(x=one), two=flags(flags=two, y=one))
    assert flagset.split_of(named).shares_bp == (7500, 2500)
    with pytest.raises(ClusterError, match=r"one key with flags \(one, two\)"):
        flagset.split_of(config_map(one=flags(x=one), two=flags(y=two)))
    with pytest.raises(ClusterError, match=r"one flag that splits \(x, y\)"):
        flagset.split_of(config_map(one=flags(x=one, y=two)))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"flags": 1}', '{"flags": {"x": 1}}', "a: b"])
def test_a_text_without_flags_is_none_of_them(text):
    obj = config_map(a=text)
    assert flagset.objections(obj) == ()
    with pytest.raises(ClusterError, match=r"configmap/flags: .*\(none\)"):
        flagset.split_of(obj)


def test_a_variant_that_the_flag_has_not_is_an_objection():
    obj = config_map(a=flags(x=rule(["a", 1], ["b", 1], variants={"a": 1})))
    assert flagset.objections(obj) == ("configmap/flags: flag x has no variant b",)
    off = config_map(a=flags(x=rule(["a", 1], ["b", 1], state="DISABLED")))
    assert "flag x is DISABLED" in flagset.refusal(off)


def test_beside_a_file_abctl_runs_nothing(make_experiment):
    experiment = replace(make_experiment(), flag_file="flags.json")
    assert [Ref.of(obj) for obj in flagset.objects(experiment)] == [flagset.target(experiment)]
    image = Model("iris", "v1", image="registry/iris:v1")
    served = (replace(experiment.variants[0], model=image), *experiment.variants[1:])
    for change, place in (
        ({"variants": served}, ("variants", 0, "model", "image")),
        ({"outcomes": (Outcome("bought", "binary"),)}, ("outcomes",)),
        ({"log": PredictionLog(1.0)}, ("log",)),
        ({"templates": Templates(Template(replicas=3))}, ("template",)),
    ):
        assert [m.place for m in flagset.misfits(replace(experiment, **change))] == [place]
    for other in (envoy, flagd):
        found = [m.place for m in other.misfits(experiment) if "flagFile" in m.place]
        assert found == [("flagFile",)]


def test_flags_of_others_are_not_deleted_with_the_experiments(make_experiment, tmp_path):
    experiment = replace(make_experiment(), platform="flagset")
    world = DirectoryClient(tmp_path)
    session = Session(world, flagset, experiment, actor="ann")
    apply.start(session, why="it begins")
    carrier = world.get(session.target)
    text = json_text.with_member(carrier["data"][flagset.KEY], ("flags",), "other", PLAIN)
    shared = world.replace({**carrier, "data": {flagset.KEY: text}})
    for dry_run in (True, False):
        with pytest.raises(ConflictError, match="configmap/iris also holds flag other"):
            delete.delete(session, dry_run=dry_run)
    assert world.get(session.target) == shared
    world.replace({**world.get(session.target), "data": carrier["data"]})
    assert session.target in delete.delete(session)


def test_no_experiment_is_called_as_a_ledger(make_experiment):
    with pytest.raises(SpecError, match="could be a ledger"):
        flagset.objects(replace(make_experiment(), name="abctl-iris"))
