"""Strict loading of weights: each key of the generation path is used exactly once, and every fault is reported."""

import errno
import json
import os
import shutil
from copy import deepcopy
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tools.checkpoints import GOLDEN, KEYS, refused, rewrite, shard, spoiled

from janus_minimal import JanusFlow, JanusFlowPipeline
from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.loading import weights
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.weights import safetensors_keys


def test_save_then_load_is_the_identity(model, tmp_path):
    """load(save(model)) = model.

    Saving must not lose or change anything. It writes two files, config.json and model.safetensors, and leaves no other
    file behind.
    """
    model.save_pretrained(tmp_path)
    again = JanusFlow.from_pretrained(tmp_path)
    assert again.config == model.config
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    for key, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


def test_weights_in_another_memory_layout_are_saved_as_others_read_them(model, tmp_path):
    """save(model in channels_last) = save(model); metadata = {"format": "pt"}.

    safetensors stores no strides, and transformers reads only files that say whose tensors they are.
    """
    deepcopy(model).to(memory_format=torch.channels_last).save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert all(file.get_tensor(key).equal(tensor) for key, tensor in model.state_dict().items())


def test_shards_are_one_checkpoint(model, directory):
    """load(shards, index) = load(one file).

    Large checkpoints are split into several files (shards). The index says which shard holds which key.
    """
    shard(directory)
    for key, tensor in JanusFlow.from_pretrained(directory).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key]), key


def test_a_model_that_is_saved_beside_shards_is_the_one_that_is_read(directory):
    """load(save(model) into a folder of shards) = model.

    transformers too reads model.safetensors first. If the index came first, the older model would be drawn with.
    """
    shard(directory)
    other = JanusFlow.from_pretrained(directory)
    with torch.no_grad():
        other.vision_gen_enc_aligner.bias += 1
    other.save_pretrained(directory)
    again = JanusFlow.from_pretrained(directory).state_dict()
    assert all(again[key].equal(tensor) for key, tensor in other.state_dict().items())


def test_weights_take_the_dtype_that_is_asked_for():
    """dtype(p) = the requested dtype, for every parameter p.

    The caller chooses the dtype. The dtype of the numbers in the file makes no difference.
    """
    half = JanusFlow.from_pretrained(GOLDEN, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn, "float16", None])
def test_a_dtype_that_no_model_computes_in_is_refused(unchecked, model, tmp_path, dtype):
    """dtype not one of float64, float32, float16, bfloat16  =>  InputError, in loading and in saving.

    Weights that are rounded to whole numbers are zeros, and nothing would read such a file again.
    """
    with pytest.raises(InputError, match=r"dtype is .*expected one of torch\.float64, "):
        JanusFlow.from_pretrained(GOLDEN, dtype=dtype)
    with pytest.raises(InputError, match=r"dtype is .*expected one of torch\.float64, "):
        model.save_pretrained(tmp_path / "saved", dtype)
    assert not (tmp_path / "saved").exists()


def test_the_understanding_path_is_left_out(directory):
    """load(all keys) = load(generation keys).

    The official checkpoint also holds the understanding path, which is not part of this package. Its keys are known and
    skipped.
    """
    rewrite(directory, lambda w: [w.pop(key) for key in list(w) if "_und_" in key or "lm_head" in key])
    JanusFlow.from_pretrained(directory)


def test_attention_is_torchs_own_whatever_the_config_says():
    """attention implementation = sdpa.

    The official config asks for flash_attention_2, which many machines do not have. PyTorch's own attention (SDPA) runs
    everywhere and chooses a fast kernel itself.
    """
    config = json.loads((GOLDEN / "config.json").read_text())
    assert config["language_config"]["_attn_implementation"] == "flash_attention_2"
    assert JanusFlow.from_pretrained(GOLDEN).llama.config._attn_implementation == "sdpa"


@given(key=st.sampled_from(KEYS))
def test_a_missing_key_is_named(key):
    """keys(file) >= keys(model), else CheckpointError.

    A parameter without a stored weight would hold random numbers, and every picture would be spoiled. The message names
    the key.
    """
    with spoiled() as directory:
        rewrite(directory, lambda weights: weights.pop(key))
        refused(directory, "lacks", key)


@given(key=st.sampled_from(KEYS), more=st.text("abc_.", min_size=1, max_size=8))
@example(key="language_model.lm_head.weight", more="other.")
def test_an_unknown_key_is_named(key, more):
    """keys(file) <= keys(model) + keys(understanding path), else CheckpointError.

    An unknown key means that the file belongs to another model. The message names the key. What begins with other words
    is not of the understanding path, wherever its name stands.
    """
    key = more + key if key not in KEYS else key + more
    with spoiled() as directory:
        rewrite(directory, lambda weights: weights.update({key: torch.ones(1)}))
        refused(directory, "unknown key", key)


@given(key=st.sampled_from(KEYS), change=st.sampled_from([lambda x: torch.cat([x, x]), lambda x: x[None]]))
def test_a_wrong_shape_is_named(key, change):
    """shape(file, key) = shape(model, key), else CheckpointError.

    config.json determines the shape of each parameter. The message names the key and both shapes.
    """
    with spoiled() as directory:
        rewrite(directory, lambda weights: weights.update({key: change(weights[key])}))
        refused(directory, f"{key} has shape", "which the config asks for")


@given(key=st.sampled_from(KEYS))
def test_each_key_is_used(key):
    """model[key] = file[key], for every key.

    If a key were accepted but not used, its parameter would silently keep another value.
    """
    with spoiled() as directory:
        rewrite(directory, lambda weights: weights.update({key: weights[key] + 1}))
        changed, plain = (JanusFlow.from_pretrained(d).state_dict() for d in (directory, GOLDEN))
    assert [k for k in plain if not torch.equal(plain[k], changed[k])] == [key]


def test_a_file_that_may_not_be_read_is_named_with_the_reason(directory, monkeypatch):
    """open(weights) is denied  =>  CheckpointError, which says so.

    The library says that there is no such file, and whoever fetches it again has the same fault.
    """
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read: Permission denied"):
        safetensors_keys(directory / "model.safetensors")


def test_a_truncated_file_is_named(directory):
    """an incomplete file  =>  CheckpointError.

    A download that was interrupted leaves such a file. The message says that it is incomplete.
    """
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(directory, "model.safetensors", "not a whole safetensors file")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl"])
def test_pickles_are_refused_with_the_reason(directory, name):
    """*.bin, *.pt, *.pkl  =>  CheckpointError.

    Loading a pickle can run any code that its author put into it. The message says so.
    """
    (directory / "model.safetensors").rename(directory / name)
    refused(directory, name, "refused", "can run any code")


def test_no_weights_at_all_says_what_would_be_right(directory):
    """no weights  =>  CheckpointError.

    The message says what is expected: one safetensors file, or shards with their index.
    """
    (directory / "model.safetensors").unlink()
    refused(directory, "holds no weights", "model.safetensors.index.json")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vae/diffusion_pytorch_model.safetensors"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    """a path that is not a regular file  =>  CheckpointError, at once.

    Opening a named pipe waits until another program writes into it. Loading could wait for ever.
    """
    shutil.copytree(BUNDLED / "shapes", tmp_path, dirs_exist_ok=True)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"no plain file|holds no weights"):
        JanusFlowPipeline.from_pretrained(tmp_path)


def test_a_missing_directory_says_what_would_be_right(tmp_path):
    """no such directory  =>  CheckpointError.

    The message says what is expected: a directory, or the name of a bundled checkpoint.
    """
    refused(tmp_path / "nowhere", "no checkpoint", "shapes")


@given(key=st.sampled_from(KEYS), wrong=st.sampled_from([float("nan"), float("inf"), -float("inf")]))
def test_a_weight_that_is_not_finite_is_named(key, wrong):
    """|w| < inf for every weight, else CheckpointError.

    A single infinite or NaN weight can spoil every picture, and the cause is hard to find from the picture. The message
    names the key.
    """
    with spoiled() as directory:
        rewrite(directory, lambda weights: weights[key].view(-1)[-1:].fill_(wrong))
        refused(directory, key, "not finite")


@pytest.mark.parametrize(("number", "dtype"), [(1e300, torch.float32), (7e4, torch.float16), (1e300, torch.bfloat16)])
def test_a_weight_that_the_dtype_cannot_hold_is_named(directory, number, dtype):
    """w finite in the file's dtype and infinite in the one that is asked for  =>  CheckpointError.

    The number is looked at after the cast: an infinite weight of the VAE's encoder, say, spoils edits alone.
    """
    rewrite(directory, lambda weights: weights.update({KEYS[0]: weights[KEYS[0]].double().fill_(number)}))
    with pytest.raises(CheckpointError, match=rf"{KEYS[0]} holds numbers that are not finite in {dtype}"):
        JanusFlow.from_pretrained(directory, dtype)


def test_weights_that_could_not_be_loaded_again_are_not_saved(directory):
    """w infinite in the dtype of the file  =>  CheckpointError, and the files are as before.

    Training ships float16. A weight beyond 65,504 would take the place of the last good checkpoint.
    """
    model, before = JanusFlow.from_pretrained(directory), (directory / "model.safetensors").read_bytes()
    model.get_parameter(KEYS[0]).data.view(-1)[-1] = 7e4
    with pytest.raises(CheckpointError, match=rf"^{KEYS[0]} holds numbers that are not finite in torch.float16"):
        model.save_pretrained(directory, torch.float16)
    assert (directory / "model.safetensors").read_bytes() == before


def test_weights_that_are_no_floats_are_named(directory):
    """dtype(file, key) in {F64, F32, F16, BF16}, else CheckpointError.

    Integers would be cast to floats without a warning, although they are not the weights of this model.
    """
    rewrite(directory, lambda weights: weights.update({KEYS[0]: weights[KEYS[0]].long()}))
    refused(directory, KEYS[0], "I64")


def test_of_many_faulty_keys_one_is_named_and_the_others_are_counted(directory):
    """three unknown keys  =>  the first of them "and 2 more".

    The weights of another model have hundreds of other names.
    """
    rewrite(directory, lambda weights: weights.update({name: torch.ones(1) for name in ("zb", "za", "zc")}))
    refused(directory, "has the unknown key za and 2 more: no other key may be there")


def test_weights_are_written_in_float32_unless_told_otherwise(tmp_path):
    """dtype(write_weights(w)) = float32.

    In 16 bits a weight would lose half of its digits without anybody's word.
    """
    weights.write_weights(tmp_path, {"x": torch.tensor([1 + 2**-20])})
    assert load_file(tmp_path / "model.safetensors")["x"].equal(torch.tensor([1 + 2**-20]))


def test_large_tensors_are_read_in_blocks(directory, model, monkeypatch):
    """load in blocks = load at once.

    Reading block by block needs little more memory than the weights themselves. It must not change the weights.
    """
    monkeypatch.setattr("janus_minimal.loading.weights.BLOCK", 1000)
    for key, tensor in JanusFlow.from_pretrained(directory).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key]), key


def test_no_more_than_a_block_is_read_at_a_time(directory, monkeypatch):
    """numbers of a read <= BLOCK, or one row; and the file is opened anew for each read.

    A mapped file counts as memory of the process until it is closed. Read at once, 3 GB of weights would need 6 GB.
    """
    read, opened, sizes, openings = weights._read_rows, weights.safe_open, [], []
    monkeypatch.setattr(weights, "BLOCK", 5000)
    monkeypatch.setattr(weights, "_read_rows", lambda *given: sizes.append(given[-1].shape) or read(*given))
    monkeypatch.setattr(weights, "safe_open", lambda *given: openings.append(given) or opened(*given))
    JanusFlow.from_pretrained(directory)
    assert len(sizes) > len(KEYS)
    assert all(shape.numel() <= 5000 or shape[0] == 1 for shape in sizes)
    assert len(openings) == len(sizes) + 1  # once for the names of all


@pytest.mark.parametrize(("seconds", "more"), [(1, b""), (0, b"\0")])
def test_a_file_that_is_replaced_while_it_is_read_is_named(directory, monkeypatch, seconds, more):
    """model.safetensors replaced between two tensors, be it by an equal one  =>  CheckpointError in one line.

    A training that saves replaces it. Half of the weights of one save and half of the next load without a word. Where
    a file system counts in whole seconds, only the size is another one.
    """
    path, other, read = directory / "model.safetensors", directory / "other", weights._read_rows
    rewrite(directory, lambda held: held.update({"vision_und_enc_model.x": torch.zeros(8)}) if more else None)
    shutil.copy(path, other)
    if more:
        save_file(load_file(path) | {"vision_und_enc_model.x": torch.zeros(9)}, other)
    os.utime(other, ns=(0, path.stat().st_mtime_ns + seconds * 10**9))

    def replaced(*asked):
        read(*asked)
        if other.exists():
            other.replace(path)

    monkeypatch.setattr(weights, "_read_rows", replaced)
    refused(directory, "was replaced while it was read: load it again")
    JanusFlow.from_pretrained(directory)


def test_a_file_that_is_linked_or_gets_other_rights_while_it_is_read_is_the_same(directory, monkeypatch):
    """a hard link to model.safetensors, or a chmod of it, between two tensors  =>  it loads.

    A backup that links the file changes nothing in it, although the system notes a change of the file.
    """
    path, read = directory / "model.safetensors", weights._read_rows

    def linked(*asked):
        read(*asked)
        path.chmod(0o600 if path.stat().st_mode & 0o040 else 0o640)
        if not (directory / "link").exists():
            os.link(path, directory / "link")

    monkeypatch.setattr(weights, "_read_rows", linked)
    JanusFlow.from_pretrained(directory)
    assert path.stat().st_nlink == 2


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "elsewhere/model.safetensors", "none", 3])
def test_an_index_that_leaves_the_directory_is_refused(directory, name):
    """every shard lies in the checkpoint's directory, else CheckpointError.

    The index is written by the author of the checkpoint. It must not make the loader open any other file of the
    machine.
    """
    shard(directory, lambda names: names.update({KEYS[0]: name}))
    refused(directory, "index.json")


@pytest.mark.parametrize("change", [dict.pop, lambda names, key: names.update({key: "model-1-of-2.safetensors"})])
def test_shards_that_disagree_with_their_index_are_named(directory, change):
    """keys(shard) = the keys that the index lists for it, else CheckpointError.

    If a key were in two shards, it would have two values, and one of them would be chosen without a warning.
    """
    shard(directory, lambda names: change(names, sorted(names)[1]))
    refused(directory, sorted(load_file(GOLDEN / "model.safetensors"))[1])


@pytest.mark.parametrize("place", [0, 1, 2, -1])
def test_a_weight_that_is_not_finite_is_found_in_every_block(directory, monkeypatch, place):
    """NaN in any block of a tensor  =>  CheckpointError, which names the key.

    The word table of the released model is read in 200 blocks. If only the first were looked at, the fault would be in
    every picture.
    """
    monkeypatch.setattr("janus_minimal.loading.weights.BLOCK", 1000)
    sizes = {key: tensor.numel() for key, tensor in load_file(GOLDEN / "model.safetensors").items() if key in KEYS}
    key = max(sizes, key=sizes.__getitem__)

    def spoil(weights):
        first = [*range(0, weights[key].numel(), 1000)][place]
        weights[key].view(-1)[first] = torch.nan

    rewrite(directory, spoil)
    refused(directory, key, "not finite")


@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.pth", "a.ckpt", "a.pkl"])
def test_every_ending_of_a_pickle_is_known(directory, name):
    """*.bin, *.pt, *.pth, *.ckpt, *.pkl in place of weights  =>  CheckpointError, which says what a pickle can do.

    The user of such a file should read why it is not loaded, and not that there are no weights.
    """
    (directory / "model.safetensors").rename(directory / name)
    refused(directory, name, "refused", "can run any code")


@pytest.mark.parametrize(
    "key", ["vision_und_dec_model.weight", "vision_und_encoder.x", "language_model.lm_head_2.weight"]
)
def test_only_the_known_keys_of_the_understanding_path_are_skipped(directory, key):
    """a key that only resembles one of the understanding path  =>  CheckpointError, which names it.

    It belongs to another model, whose weights of the generation path may mean something else.
    """
    rewrite(directory, lambda weights: weights.update({key: torch.ones(1)}))
    refused(directory, "unknown key", key)


def test_a_key_in_two_shards_is_named(directory):
    """key in shard 1 and in shard 2  =>  CheckpointError, which names the key and the shard that should not have it.

    It has two values, and nobody could say which one is drawn with.
    """
    shard(directory)
    first, second = (directory / f"model-{i}-of-2.safetensors" for i in (1, 2))
    key = sorted(load_file(first))[0]
    save_file(load_file(second) | {key: load_file(first)[key] + 1}, second)
    refused(directory, "model-2-of-2.safetensors has", key)
