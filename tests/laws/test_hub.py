"""Where a checkpoint is found: bundled with the package, in a directory, or in a Hugging Face hub repository."""

import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest

from janus_minimal import JanusFlow
from janus_minimal.errors import CheckpointError
from janus_minimal.loading.hub import BUNDLED, MODEL_FILES, VAE_FILES, find_checkpoint, find_part

GOLDEN = Path(__file__).parent.parent / "golden"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Switch the network off, and use a temporary hub cache that holds one repository."""
    cache = tmp_path / "cache"
    snapshot = cache / "models--someone--golden" / "snapshots" / COMMIT
    (cache / "models--someone--golden" / "refs").mkdir(parents=True)
    (cache / "models--someone--golden" / "refs" / "main").write_text(COMMIT)
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / name, snapshot)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return snapshot


@pytest.fixture
def asked(monkeypatch):
    """Record the repositories that are requested from the hub; every request fails."""
    names = []

    def snapshot_download(name, **_):
        names.append(name)
        raise OSError("nobody answers")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return names


def test_a_bundled_name_is_a_folder_of_the_package(asked):
    """find("shapes") = find(Path("shapes")) = checkpoints/shapes.

    The bundled checkpoint is part of the package. No request is sent to the hub.
    """
    assert find_checkpoint("shapes") == find_checkpoint(Path("shapes")) == BUNDLED / "shapes"
    assert asked == []


def test_a_folder_with_a_bundled_name_is_not_passed_over_in_silence(asked, tmp_path, monkeypatch):
    """find("shapes") beside a folder shapes = checkpoints/shapes, with a warning; find("./shapes") = the folder.

    Whoever trained with `--out shapes` would otherwise draw with another model than their own.
    """
    (tmp_path / "shapes").mkdir()
    with pytest.warns(UserWarning, match=r'expected "\./shapes" for the folder'):
        assert find_checkpoint("shapes") == BUNDLED / "shapes"
    assert find_checkpoint("./shapes") == Path("shapes")
    monkeypatch.chdir(BUNDLED)  # here both are the same folder, and no warning is needed
    assert find_checkpoint("shapes") == BUNDLED / "shapes"
    assert asked == []


@pytest.mark.parametrize("name", [None, 3, b"shapes", ["shapes"]])
def test_a_checkpoint_is_named_by_a_text_or_a_path(unchecked, asked, name):
    """find(what is neither a text nor a path)  =>  CheckpointError, which quotes it.

    An option that is left empty is None.
    """
    with pytest.raises(CheckpointError, match=r"^the checkpoint is .*: expected a name or a path$"):
        find_checkpoint(name)
    assert asked == []


def test_any_failure_of_the_hubs_client_is_one_line(monkeypatch):
    """an exception of any kind while files are fetched  =>  CheckpointError that quotes its first line.

    An address in HF_ENDPOINT that is none makes the HTTP library raise an exception of its own kind.
    """

    class InvalidUrlError(Exception):
        pass

    def snapshot_download(*_, **__):
        raise InvalidUrlError("no such scheme\nFor more information see https://example.org/help.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(CheckpointError, match=r"owner/name cannot be fetched from the hub: no such scheme$"):
        find_checkpoint("owner/name")


def test_a_directory_is_itself(asked, tmp_path):
    """find(directory) = directory.

    An existing directory is used even if its path has the form of a repository's name, owner/name.
    """
    (tmp_path / "someone" / "golden").mkdir(parents=True)
    assert find_checkpoint("someone/golden") == Path("someone/golden")
    assert asked == []


def test_a_repository_is_found_in_the_hubs_cache(offline, model):
    """load(owner/name) = load(its snapshot in the hub cache), without a network.

    Files that were fetched once are used again. HF_HUB_OFFLINE=1 is respected.
    """
    assert find_checkpoint("someone/golden") == offline
    assert find_checkpoint("someone/golden", revision=COMMIT) == offline
    assert JanusFlow.from_pretrained("someone/golden", revision="main").config == model.config


def test_a_repository_that_cannot_be_fetched_is_named():
    """a repository that cannot be fetched  =>  CheckpointError.

    The message is one line with the name of the repository and the reason.
    """
    with pytest.raises(CheckpointError, match=r"^someone/else cannot be fetched from the hub: .+$"):
        find_checkpoint("someone/else")


def test_a_mistyped_path_asks_nobody(asked, tmp_path):
    """runs/mine where the folder runs exists  =>  CheckpointError, no request to the hub.

    A path and a repository's name can look alike. If the parent folder exists, a mistyped path is the likely reason.
    """
    (tmp_path / "runs").mkdir()
    for name in ("runs/mine", "mine", "./mine", "/nowhere/at/all", "a/b/c", ""):
        with pytest.raises(CheckpointError, match="no checkpoint"):
            find_checkpoint(name)
    assert asked == []


@pytest.mark.parametrize("offline_mode", [True, False])
@pytest.mark.parametrize("files", [MODEL_FILES, VAE_FILES])
def test_only_the_files_that_are_needed_are_fetched(monkeypatch, tmp_path, files, offline_mode):
    """files(fetched) = those that are asked for, of the revision that is asked for; offline, none.

    A repository may also hold pictures, pickles and code. They are never needed, and pickles and code could be harmful.
    """
    wanted = {}
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline_mode)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **options: wanted.update(options) or tmp_path)
    find_checkpoint("someone/large", "v1", files)
    assert wanted == {"revision": "v1", "allow_patterns": list(files), "local_files_only": offline_mode}


def test_of_a_models_repository_config_weights_and_tokenizer_are_fetched():
    """files(fetched) of a repository with everything = config, index, shards, and the tokenizer's three files.

    Without its index, or with one shard less, a checkpoint is none; and a pickle or a Python file is never wanted.
    """
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    tokenizer = ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]
    wanted = ["config.json", "model.safetensors", "model.safetensors.index.json", *shards, *tokenizer]
    others = [
        "README.md",
        "modeling.py",
        "pytorch_model.bin",
        "preprocessor_config.json",
        "images/a.png",
        "optimizer.pt",
        "optimizer.safetensors",
        "consolidated.safetensors",
        "tokenizer.model",
        "tokenizer.py",
    ]
    found = huggingface_hub.utils.filter_repo_objects(wanted + others, allow_patterns=list(MODEL_FILES))
    assert list(found) == wanted


def test_a_bundled_checkpoint_takes_what_it_has_not_from_shapes(tmp_path, monkeypatch):
    """find_part(bundled, name) = its own file, else that of "shapes"; elsewhere always its own.

    A student has the VAE and the tokenizer of its teacher, and a package need not ship them twice. A directory of the
    user that lacks them is incomplete, and must not be completed with what belongs to another model.
    """
    monkeypatch.setattr("janus_minimal.loading.hub.BUNDLED", tmp_path / "bundled")
    few, other = tmp_path / "bundled" / "few", tmp_path / "other"
    for directory in (few, other):
        directory.mkdir(parents=True)
    assert find_part(few, "vae") == tmp_path / "bundled" / "shapes" / "vae"
    assert find_part(other, "vae") == other / "vae"
    (few / "vae").mkdir()
    assert find_part(few, "vae") == few / "vae"


@pytest.mark.parametrize("name", ["deepseek-ai/JanusFlow-1.3B", "stabilityai/sdxl-vae", "a_b/c.d-e", "1-1/_"])
def test_every_name_that_the_hub_allows_is_asked_for(asked, name):
    """find("deepseek-ai/JanusFlow-1.3B") asks the hub for just this name: letters, digits, dashes, dots, underscores.

    The names of the released model and of its VAE are among them. A stricter pattern would call them no checkpoint.
    """
    with pytest.raises(CheckpointError, match="cannot be fetched from the hub: nobody answers"):
        find_checkpoint(name)
    assert asked == [name]
