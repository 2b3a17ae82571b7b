"""What is said of a model's folder before anything in it is loaded."""

import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from abctl.core.experiment import Model, Variant
from abctl.errors import AbctlError, NotFoundError, SpecError, UsageError
from abctl.local import model_folder as folders
from abctl.local.fetched import fetched


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "models" / "v2"
    place.mkdir(parents=True)
    (place / "model.joblib").write_bytes(b"content")
    write(place, {"name": "iris", "parameters": {"uri": "./model.joblib"}})
    return place


def write(place: Path, settings: Any) -> None:
    (place / "model-settings.json").write_text(json.dumps(settings))


def treatment(**model: Any) -> Variant:
    return Variant("treatment", Model("iris", "v2", **model))


def remarks(variant: Variant) -> list[str]:
    return list(folders.check(variant, folders.model_folder(variant, None)))


def printed(command: str) -> str:
    found = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True)
    return found.stdout.split()[0]


def test_a_missing_model_says_where_it_is_looked_for(place: Path) -> None:
    recipe = place.parent / "train.py"
    for name in ("model.joblib", "model-settings.json"):
        (place / name).unlink()
        with pytest.raises(NotFoundError, match=name) as error:
            folders.model_folder(treatment(), place.parent)
        assert error.value.hint == "--models names the folder that has one for each version"
    recipe.touch()  # as in a checkout of abctl
    with pytest.raises(NotFoundError) as error:
        folders.model_folder(treatment(), place.parent)
    assert error.value.hint.startswith(f"python {recipe} makes those of that folder; --models")


def test_a_folder_that_is_named_goes_before_that_of_the_version(place: Path) -> None:
    found = folders.model_folder(treatment(path=str(place)), Path("nowhere"))
    assert (found.place, found.name, found.renamed) == (place, "iris", True)


def test_a_digest_of_another_model_names_place_expected_and_found(place: Path) -> None:
    digest = hashlib.sha256(b"content").hexdigest()
    assert remarks(treatment(path=str(place), sha256=digest)) == []
    (place / "model.joblib").write_bytes(b"another")
    found = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(SpecError) as error:
        remarks(treatment(path=str(place), sha256=digest))
    assert all(each in error.value.message for each in (str(place), digest, found))
    assert found in error.value.hint


@pytest.mark.process
def test_without_a_digest_there_is_a_warning_with_the_command_that_prints_it(place: Path) -> None:
    (warning,) = remarks(treatment(path=str(place)))
    command = warning.rpartition("prints: ")[2]
    digest = printed(command)
    assert remarks(treatment(path=str(place), sha256=digest)) == []
    (place / "model.joblib.sha256").write_text(f"{digest}  model.joblib\n")
    assert remarks(treatment(path=str(place))) == []


@pytest.mark.process
def test_the_digest_of_a_folder_is_what_its_command_prints(place: Path) -> None:
    write(place, {"name": "iris", "implementation": "own.Model"})
    (place / "own.py").write_text("class Model: ...")
    for name in ("b c", "ä", "-x", "a'b", "sub/d", "sub-e"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(name)
    before = folders.digest(place)
    (place / ".abctl").mkdir()
    (place / ".abctl" / "log").touch()
    (place / "__pycache__").mkdir()
    (place / "__pycache__" / "own.pyc").touch()
    assert folders.digest(place) == before == printed(folders.recipe(place))
    (place / "own.py").write_text("class Model: pass")
    assert folders.digest(place) != before


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server with a model."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "model.ubj").write_bytes(b"content")
    serves = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "there"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serves) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_fetched_is_served_if_it_is_what_the_experiment_says(
    place: Path, url: str, tmp_path: Path
) -> None:
    write(place, {"name": "iris", "parameters": {"uri": f"{url}/model.ubj", "version": "1"}})
    digest = hashlib.sha256(b"content").hexdigest()
    variant = treatment(path=str(place), sha256=digest)
    found = fetched(variant, folders.model_folder(variant, None), tmp_path / "into")
    assert found.settings["parameters"] == {"uri": str(found.artefact), "version": "1"}
    assert (found.artefact.suffix, found.artefact.read_bytes()) == (".ubj", b"content")
    assert (found.changed, list(folders.check(variant, found))) == (True, [])


def test_what_is_fetched_needs_its_digest(place: Path, url: str, tmp_path: Path) -> None:
    into = tmp_path / "into"

    def refused(uri: str, digest: str | None) -> AbctlError:
        write(place, {"name": "iris", "parameters": {"uri": uri}})
        variant = treatment(path=str(place), sha256=digest)
        with pytest.raises(AbctlError) as error:
            fetched(variant, folders.model_folder(variant, None), into)
        assert not list(into.glob("*")) or digest is not None
        return error.value

    error = refused(f"{url}/model.ubj", None)
    assert "no model.sha256" in error.message
    error = refused(f"{url}/model.ubj", "0" * 64)
    assert all(each in error.message for each in ("0" * 64, url))
    assert hashlib.sha256(b"content").hexdigest() in error.message
    assert not (into / "model.ubj").exists()
    assert "404" in refused(f"{url}/none.ubj", "0" * 64).message
    assert "\x1b" not in refused(f"{url}/none\x1b.ubj", "0" * 64).message
    for uri in ("s3://models/x", "ftp://example.com/x", "models:/x://1", "http://[x"):
        assert "where nothing is checked" in refused(uri, "0" * 64).message
    secret = refused("https://user:secret@127.0.0.1:1/x?token=secret", "0" * 64)
    assert "secret" not in secret.message


def test_a_runtime_that_is_not_installed_names_the_command_that_installs_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "find_spec", lambda _: None)
    write(place, {"name": "iris", "implementation": "mlserver_xgboost.XGBoostModel"})
    with pytest.raises(UsageError) as error:
        remarks(treatment(path=str(place)))
    assert "mlserver-xgboost" in error.value.hint
    write(place, {"name": "iris", "implementation": "own.Model"})
    assert len(remarks(treatment(path=str(place)))) == 1


def test_what_nobody_counts_is_named(place: Path) -> None:
    folder = folders.ModelFolder.at(place)
    assert list(folders.uncounted(folder)) == []
    for name in ("beside", ".hidden"):
        (place / name).mkdir()
        write(place / name, {"name": f"m-{name}"})
    (place / "settings.json").write_text('{"kafka_enabled": true}')
    write(place, {"name": "iris", "implementation": "own.Model"})
    (place / "own.py").write_text(
        "from mlserver.handlers import custom_handler as c\nimport mlserver.handlers as h\n"
        "class Model:\n    @h.custom_handler(rest_path='/mine')\n    def x(self): ...\n"
    )
    others, kafka, custom = folders.uncounted(folders.ModelFolder.at(place))
    assert "m-beside" in others
    assert "hidden" not in others
    assert "Kafka" in kafka
    assert "/mine" in custom
    (place / "own.py").write_text("class (")
    assert len(list(folders.uncounted(folders.ModelFolder.at(place)))) == 2
