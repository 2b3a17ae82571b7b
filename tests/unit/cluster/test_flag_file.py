"""A file with flags as an object: what of it changes, what is noticed, and what is refused."""

import json
import threading
from dataclasses import replace

import pytest

from abctl import files
from abctl.cluster.flag_file import FlagFileClient
from abctl.core.change import Change, Ref
from abctl.core.split import Split
from abctl.errors import ClusterError, ConflictError, NotFoundError
from abctl.platforms import flagset

REF = Ref("v1", "ConfigMap", "models", "iris")
# Nobody's formatter has seen it.
OTHERS = """\
{ "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
\t"banner" : {"state":"ENABLED", "variants":{"on": true,"off":false},   "defaultVariant":"off"}
  }, "metadata": {"owner": "zoë"}
}
"""
NAMES = ("control", "treatment")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "flags.flagd.json"


@pytest.fixture
def client(tmp_path, path):
    return FlagFileClient(tmp_path / "beside", path, REF, flagset.KEY)


@pytest.fixture
def carrier(make_experiment):
    experiment = replace(make_experiment(shares_bp=(9000, 1000)), flag_file="flags.flagd.json")
    (found,) = flagset.objects(experiment)
    assert Ref.of(found) == REF
    return found


def shift(client, treatment_bp):
    before = client.get(REF)
    after = flagset.with_split(before, Split(NAMES, (10_000 - treatment_bp, treatment_bp)))
    return client.patch(REF, Change(before, after).json_patch())


def test_a_file_that_is_not_there_is_made(client, carrier, path):
    with pytest.raises(NotFoundError, match="no file"):
        client.get(REF)
    client.apply(carrier)
    assert path.read_text() == carrier["data"][flagset.KEY]
    assert client.get(REF)["data"] == carrier["data"]


def test_a_flag_is_put_beside_the_others_and_taken_out_again(client, carrier, path):
    path.write_text(OTHERS)
    path.chmod(0o640)
    assert client.apply(carrier, dry_run=True)["data"] != {flagset.KEY: OTHERS}
    assert path.read_text() == OTHERS
    client.apply(carrier)
    mine, others = json.loads(carrier["data"][flagset.KEY]), json.loads(OTHERS)
    assert json.loads(path.read_text()) == {**others, "flags": others["flags"] | mine["flags"]}
    lines = path.read_text().splitlines()
    assert not [line for line in OTHERS.splitlines() if not any(line in each for each in lines)]
    assert path.stat().st_mode & 0o777 == 0o640
    known = path.read_text()
    client.apply(carrier)
    assert path.read_text() == known
    assert client.delete(REF, dry_run=True)
    assert client.delete(REF)
    assert path.read_text() == OTHERS
    assert not client.delete(REF)


def test_a_shift_writes_the_weights_and_no_other_character(client, carrier, path):
    path.write_text(OTHERS)
    client.apply(carrier)
    before = path.read_text()
    shift(client, 3000)
    assert path.read_text() == before.replace('"control", 9000', '"control", 7000').replace(
        '"treatment", 1000', '"treatment", 3000'
    )


def test_an_edit_in_between_is_a_conflict_and_stays(client, carrier, path):
    client.apply(carrier)
    seen = client.get(REF)
    after = flagset.with_split(seen, Split(NAMES, (5000, 5000)))
    edited = path.read_text().replace("ENABLED", "DISABLED")
    path.write_text(edited)
    writes = (
        lambda: client.patch(REF, Change(seen, after).json_patch()),
        lambda: client.replace(after),
        lambda: client.apply(after),
        lambda: client.create(after),
    )
    for write in writes:
        with pytest.raises(ConflictError):
            write()
    assert path.read_text() == edited
    assert "DISABLED" in flagset.refusal(client.get(REF))


def test_an_edit_while_it_is_written_is_a_conflict(client, carrier, path, monkeypatch):
    client.apply(carrier)
    parse, edited = files.read, OTHERS

    def read(given):
        text = parse(given)
        path.write_text(edited)
        return text

    seen = client.get(REF)
    after = flagset.with_split(seen, Split(NAMES, (5000, 5000)))
    monkeypatch.setattr(files, "read", read)
    with pytest.raises(ConflictError, match="changed by somebody else"):
        client.patch(REF, Change(seen, after).json_patch())
    assert path.read_text() == edited


def test_another_rule_of_that_name_is_not_replaced_unless_it_is_meant(client, carrier, path):
    rule = {"fractional": [["control", 1], ["treatment", 1]]}
    own = {"control": "http://a", "treatment": "http://b", "spare": "http://c"}
    flag = {"state": "ENABLED", "variants": own, "defaultVariant": "control", "targeting": rule}
    path.write_text(json.dumps({"flags": {"iris": flag}}))
    for dry_run in (True, False):
        with pytest.raises(ConflictError, match="flag iris is there, with targeting other"):
            client.apply(carrier, dry_run=dry_run)
    client.apply(carrier, force=True)
    wanted = json.loads(carrier["data"][flagset.KEY])["flags"]["iris"]
    # What an application gets for a variant is its own business.
    assert json.loads(path.read_text())["flags"]["iris"] == {**wanted, "variants": own}
    path.write_text(path.read_text().replace("9000", "8000").replace("1000", "2000"))
    client.apply(carrier)
    assert flagset.split_of(client.get(REF)).shares_bp == (9000, 1000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ('{"flags": {"iris": {}, "iris": {}}}', "'iris' comes twice"),
        ("[]", "has no flags"),
        ('{"flags": []}', "has no flags"),
        ("flags:\n  iris: {}\n", "Expecting value"),
        ("\udc80", "utf-8"),
    ],
)
def test_what_flagd_could_not_read_is_never_written_over(client, carrier, path, text, said):
    written = text.encode(errors="surrogateescape")
    path.write_bytes(written)
    for call in (client.get, client.managers, client.delete):
        with pytest.raises(ClusterError, match=said) as caught:
            call(REF)
        assert str(path) in caught.value.message
    with pytest.raises(ClusterError, match=said):
        client.apply(carrier, force=True)
    assert path.read_bytes() == written


def test_whoever_reads_meanwhile_reads_all_of_it(client, carrier, path):
    path.write_text(OTHERS)
    client.apply(carrier)
    ended, seen = threading.Event(), set()

    def watch():
        while not ended.is_set():
            parts = json.loads(path.read_text())["flags"]["iris"]["targeting"]["if"][1]
            seen.add(tuple(part[1] for part in parts["fractional"][1:]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for treatment_bp in range(0, 5000, 50):
            shift(client, treatment_bp)
    finally:
        ended.set()
        watcher.join()
    assert seen
    assert {sum(weights) for weights in seen} == {10_000}
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".")] == []


def test_the_ledger_is_in_the_folder_beside(client, carrier, path, tmp_path):
    book = {**carrier, "metadata": {"name": "abctl-iris", "namespace": "models"}}
    client.create(book)
    assert client.get(Ref.of(book))["data"] == book["data"]
    assert not path.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["beside"]
