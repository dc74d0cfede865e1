"""Deployment: complete copies, one link, and back."""

import json
import shutil
import subprocess
import sys
import threading

import pytest

import deployment
import scoring
import training
from churn import releases
from churn.errors import ChurnError, NoRelease, ReleaseError
from tests.conftest import HOME
from tests.loop import make
from tests.test_training import fill


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory):
    """A product with two scored versions and nothing in production."""
    folder = tmp_path_factory.mktemp("versions")
    product = fill(make(folder), tested=100)
    for seed in (0, 1):
        product = make(folder, seed=seed, keep_versions=2)
        training.train(product)
        scoring.score(product)
    return product


@pytest.fixture
def product(two_versions, tmp_path):
    shutil.copytree(two_versions.config_path.parent, tmp_path / "copy")
    return make(tmp_path / "copy", seed=1, keep_versions=2)


def test_nothing_in_production_is_said_with_the_command_that_mends_it(product):
    with pytest.raises(NoRelease, match=r"python fullprocess\.py"):
        releases.current(product)
    assert "nothing was ever in production" in deployment.show_history(product)


def test_the_newest_version_is_deployed_as_a_complete_copy_behind_the_old_names(product):
    deployment.deploy(product)
    second = releases.versions(product)[1]
    assert releases.current(product) == product.production / second
    for path in (product.models / second).iterdir():
        assert (product.production / second / path.name).read_bytes() == path.read_bytes()
    for name in ("trainedmodel.pkl", "latestscore.txt", "ingestedfiles.txt"):
        assert (product.production / name).resolve() == (product.production / second / name).resolve()


def test_deploying_what_is_deployed_changes_nothing(product):
    deployment.deploy(product)
    before = releases.history(product)
    assert "in production already" in deployment.deploy(product)
    assert releases.history(product) == before


def test_rollback_moves_the_link_back_and_again_forth(product):
    first, second = releases.versions(product)
    deployment.deploy(product, first)
    deployment.deploy(product, second)
    deployment.deploy(product, rollback=True)
    assert releases.current_version(product) == first
    deployment.deploy(product, rollback=True)
    assert releases.current_version(product) == second
    assert [entry["version"] for entry in releases.history(product)] == [first, second, first, second]


def test_rollback_without_an_earlier_release_says_so(product):
    deployment.deploy(product)
    with pytest.raises(ReleaseError, match="only one version"):
        deployment.deploy(product, rollback=True)


def test_list_and_at_tell_what_was_in_production_when_and_why(product):
    first, second = releases.versions(product)
    deployment.deploy(product, first, why="the first")
    deployment.deploy(product, second, why="it is better")
    history = releases.history(product)
    history[0]["from"], history[1]["from"] = "2026-01-05T10:00:00Z", "2026-02-01T00:00:00Z"
    (product.production / "history.json").write_text(json.dumps(history))
    listed = deployment.show_history(product)
    assert listed.index("2026-01-05T10:00:00Z") < listed.index("2026-02-01T00:00:00Z") < listed.index("now")
    assert "the first" in listed and "it is better" in listed
    assert deployment.show_release_at(product, "2026-01-04") == "nothing yet"
    assert deployment.show_release_at(product, "2026-01-05").startswith(first)
    assert deployment.show_release_at(product, "2026-01-31T23:59:59Z").startswith(first)
    assert deployment.show_release_at(product, "2026-03-01").startswith(second)
    with pytest.raises(ChurnError, match="not a date"):
        deployment.show_release_at(product, "yesterday")


@pytest.mark.parametrize(
    "name",
    ["model.skops", "trainedmodel.pkl", "latestscore.txt", "ingestedfiles.txt", "reference.json", "outoffold.npz"],
)
def test_a_version_whose_bytes_are_not_those_of_its_manifest_is_not_deployed(product, name):
    first, second = releases.versions(product)
    deployment.deploy(product, first)
    path = product.models / second / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ReleaseError, match="not the bytes"):
        deployment.deploy(product, second)
    assert releases.current_version(product) == first


def test_a_damaged_release_is_mended_by_deploying_it_again_from_models(product):
    deployment.deploy(product)
    version = releases.current_version(product)
    (releases.current(product) / "model.skops").write_bytes(b"damaged")
    deployment.deploy(product, version)
    assert releases.load(releases.current(product)).version == version
    assert len(releases.history(product)) == 1
    assert not list(product.production.glob(".tmp-*"))


def test_a_model_whose_bytes_changed_is_not_loaded(product):
    deployment.deploy(product)
    path = releases.current(product) / "model.skops"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ReleaseError, match="not loaded"):
        releases.load(releases.current(product))


def test_a_version_without_a_score_is_not_deployed(product):
    training.train(product)
    with pytest.raises(ReleaseError, match=r"has no score; run: python scoring\.py"):
        deployment.deploy(product)


def test_an_unknown_version_is_refused_with_those_there_are(product):
    with pytest.raises(ReleaseError, match=releases.versions(product)[0]):
        deployment.deploy(product, "0099-none")


def test_old_versions_go_but_never_the_current_one_or_the_one_before(product):
    first, second = releases.versions(product)
    deployment.deploy(product, second)
    deployment.deploy(product, first)  # current is the older one, the one before the newer
    for seed in (2, 3, 4):
        training.train(make(product.config_path.parent, seed=seed, keep_versions=2))
    releases.prune(product)
    assert releases.versions(product)[:2] == [first, second]
    assert len(releases.versions(product)) == 4
    assert releases.current_version(product) == first


def test_an_entry_of_the_history_whose_swap_never_came_does_not_count(product):
    first, second = releases.versions(product)
    deployment.deploy(product, first)
    history = releases.history(product)
    entry = {"version": second, "from": "2026-02-01T00:00:00Z", "why": "killed before the link was swapped"}
    (product.production / "history.json").write_text(json.dumps([*history, entry]))
    assert releases.history(product) == history
    deployment.deploy(product, second)
    assert [entry["version"] for entry in releases.history(product)] == [first, second]


def test_readers_see_one_whole_release_while_the_link_moves(product):
    first, second = releases.versions(product)
    deployment.deploy(product, first)
    done, seen, wrong = threading.Event(), set(), []

    def read():
        while not done.is_set():
            try:
                manifest = releases.verify(releases.current(product))
                float((product.production / "latestscore.txt").read_text())
                seen.add(manifest["version"])
            except (ChurnError, OSError) as error:
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(60):
        deployment.deploy(product, rollback=len(releases.history(product)) > 1, version=second)
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong and seen == {first, second}


def test_the_script_deploys_lists_and_rolls_back(product):
    def script(*arguments):
        command = [sys.executable, HOME / "deployment.py", "--config", product.config_path, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first, second = releases.versions(product)
    assert script("--version", first).stdout.startswith(f"corporate: {first} in production")
    assert f"instead of {first}" in script().stdout
    assert script("--rollback").stdout.startswith(f"corporate: {first}")
    assert second in script("--list").stdout
    assert script("--at", "2001-01-01").stdout == "corporate: nothing yet\n"
    assert script("--version", "none").returncode == 1
