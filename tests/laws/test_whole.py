"""A fine-tuned model is saved as a whole checkpoint: everything that was not trained is there, bit for bit."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tools.checkpoints import rewrite, shard, spoiled
from tools.drawn import normal

from janus_minimal import JanusFlow
from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.loading.whole import write_whole
from janus_minimal.training.finetune import prepare
from janus_minimal.training.lora import merge_adapters, trained_weights
from janus_minimal.training.tuning import Tuning

UNDERSTANDING = {  # of each kind one key, in dtypes that the generation path need not have
    "vision_und_enc_model.patch_embed.weight": normal(1, 3, 4).bfloat16(),
    "vision_und_enc_aligner.bias": torch.tensor([float("nan"), 1.0]),
    "beg_of_und_embed": normal(2, 1, 64).half(),
    "language_model.lm_head.weight": normal(3, 97, 64),
    "vision_und_enc_model.position_ids": torch.arange(5),
}
READ_BY_OTHERS = (
    *("preprocessor_config.json", "processor_config.json", "generation_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json"),
    *("chat_template.json", "chat_template.jinja", "LICENSE", "LICENSE-CODE"),
)
ONE, SHARDS = "one file", "two shards"


@pytest.fixture(params=[ONE, SHARDS])
def source(request, directory):
    """A checkpoint with an understanding path, in one file or in shards, and with files for other programs."""
    rewrite(directory, lambda weights: weights.update(UNDERSTANDING))
    for name in READ_BY_OTHERS:
        (directory / name).write_text('{"image_size": 384}')
    if request.param == SHARDS:
        shard(directory)
    return directory


def stored(directory) -> dict[str, torch.Tensor]:
    """All tensors of a directory, whichever file they are in."""
    found: dict[str, torch.Tensor] = {}
    for path in sorted(directory.glob("*.safetensors")):
        found |= load_file(path)
    return found


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.view(torch.uint8).equal(b.view(torch.uint8))


def tuned(directory) -> JanusFlow:
    """A model whose adapters and U-ViT have other values than before."""
    torch.manual_seed(0)
    model = prepare(JanusFlow.from_pretrained(directory), Tuning("uvit", lora=2))
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p += 0.1
    return model.eval()


def test_what_was_not_trained_is_there_bit_for_bit(source, tmp_path):
    """saved[key] = source[key], bit for bit, for every key that was not trained: the understanding path's above all.

    Whoever fine-tunes the drawing must not lose the seeing. Even a NaN in another's weights is not ours to change.
    """
    trained, before = trained_weights(tuned(source)), stored(source)
    write_whole(tmp_path / "out", source, trained)
    after = stored(tmp_path / "out")
    assert after.keys() == before.keys()
    assert {key for key in before if not same_bits(before[key], after[key])} == trained.keys()


def test_the_layout_stays_as_it_was(source, tmp_path):
    """The saved directory has the source's files: its shards and index, config, and what other programs read.

    A program that could open the source can open the result.
    """
    write_whole(tmp_path / "out", source, trained_weights(tuned(source)))
    files = {path.name: path for path in source.iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files.keys()
    for name, path in files.items():
        copy = tmp_path / "out" / name
        assert copy.stat().st_size == path.stat().st_size
        if path.suffix != ".safetensors":
            assert copy.read_bytes() == path.read_bytes()
        else:
            with safe_open(path, "pt") as a, safe_open(copy, "pt") as b:
                assert list(a.keys()) == list(b.keys())
                assert a.metadata() == b.metadata()


def test_a_saved_model_is_the_merged_one(source, tmp_path):
    """from_pretrained(saved) = merge_adapters(model), weight by weight.

    The official layout knows no adapters, so what is saved is W + B A.
    """
    model = tuned(source)
    write_whole(tmp_path / "out", source, trained_weights(model))
    saved, merged = JanusFlow.from_pretrained(tmp_path / "out").state_dict(), merge_adapters(model).state_dict()
    assert saved.keys() == merged.keys()
    assert all(saved[key].equal(merged[key]) for key in merged)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_are_stored_in_the_sources_dtype(directory, tmp_path, dtype):
    """saved[key] = round(w, the source's dtype).

    A file of another dtype would have another size, and mixed dtypes surprise other programs.
    """
    key = "vision_gen_enc_aligner.weight"
    rewrite(directory, lambda weights: weights.update({key: weights[key].to(dtype)}))
    new = normal(5, *load_file(directory / "model.safetensors")[key].shape)
    write_whole(tmp_path / "out", directory, {key: new})
    assert same_bits(stored(tmp_path / "out")[key], new.to(dtype))


def test_the_source_is_only_read(source, tmp_path, monkeypatch):
    """The source's files are the same bytes before and after; and saving into the source itself is refused.

    A fine-tuning that went wrong must not cost the model that it began with.
    """
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    trained = trained_weights(tuned(source))
    write_whole(tmp_path / "out", source, trained)
    (tmp_path / "link").symlink_to(source)
    monkeypatch.chdir(source.parent)
    for same in (source, tmp_path / "link", source / ".." / source.name, Path(source.name)):
        for one, other in ((same, source), (source, same)):
            with pytest.raises(InputError, match="is the checkpoint that training began with: expected another"):
                write_whole(one, other, trained)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before


def test_a_copy_is_what_is_read_in_its_folder(source, tmp_path):
    """load(a folder with an older model in the other layout, after the copy) = the copy, or else InputError.

    An older model.safetensors would be read in place of new shards, and nothing would say so.
    """
    out, key, sharded = (
        tmp_path / "out",
        "vision_gen_enc_aligner.bias",
        (source / "model.safetensors.index.json").exists(),
    )
    with spoiled() as older:
        if not sharded:
            shard(older)
        shutil.copytree(older, out)
    if sharded:
        with pytest.raises(InputError, match=r"would be read in place of the shards: expected another"):
            write_whole(out, source, {key: normal(6, 64)})
        assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    else:
        write_whole(out, source, {key: normal(6, 64)})
        assert JanusFlow.from_pretrained(out).state_dict()[key].equal(normal(6, 64))


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        ({"no.such.key": torch.zeros(2)}, "lacks no.such.key"),
        ({"vision_gen_enc_aligner.bias": torch.zeros(2)}, "shape"),
        ({"vision_gen_enc_aligner.bias": torch.full([64], 1e300, dtype=torch.float64)}, "not finite in torch.float32"),
    ],
)
def test_weights_that_do_not_fit_are_refused(directory, tmp_path, trained, message):
    """A key or a shape that the source has not, or a number too large  =>  CheckpointError, and nothing is written.

    Bytes in the place of another tensor would be a checkpoint that loads and draws noise. A number that is infinite in
    the source's dtype would be a checkpoint that does not load.
    """
    with pytest.raises(CheckpointError, match=message):
        write_whole(tmp_path / "out", directory, trained)
    assert not list((tmp_path / "out").glob("*.safetensors")) if (tmp_path / "out").exists() else True


def test_only_safetensors_headers_are_trusted(directory, tmp_path):
    """A source that is cut off in the middle  =>  CheckpointError.

    The copy is written by byte offsets, so the file must be what it claims to be before a byte is written.
    """
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        write_whole(tmp_path / "out", directory, {"vision_gen_enc_aligner.bias": torch.zeros(64)})


def test_a_links_target_is_copied_and_not_changed(directory, tmp_path):
    """If the source's files are symbolic links, as in the hub's cache, the targets stay as they are.

    A copy of a link would point to the cache, and overwriting it would change the downloaded model for good.
    """
    cache, linked = tmp_path / "cache", tmp_path / "linked"
    shutil.copytree(directory, cache)
    linked.mkdir()
    for path in cache.iterdir():
        (linked / path.name).symlink_to(path)
    before = (cache / "model.safetensors").read_bytes()
    write_whole(tmp_path / "out", linked, trained_weights(tuned(linked)))
    assert (cache / "model.safetensors").read_bytes() == before
    assert not (tmp_path / "out" / "model.safetensors").is_symlink()
    assert json.loads((tmp_path / "out" / "config.json").read_text())


def test_what_is_no_file_is_left_out(source, tmp_path):
    """a folder or a FIFO in the source that has the name of a file  =>  the copy is made without it, at once.

    Opening a FIFO would wait for ever, after hours of training.
    """
    (source / "tokenizer_files").mkdir()
    os.mkfifo(source / "LICENSE.fifo")
    trained = trained_weights(tuned(source))
    write_whole(tmp_path / "out", source, trained)
    copied = {path.name for path in (tmp_path / "out").iterdir()}
    assert copied == {path.name for path in source.iterdir()} - {"tokenizer_files", "LICENSE.fifo"}


def test_a_copy_is_a_new_file_whatever_its_source_permits(source, tmp_path):
    """mode(copy) = mode(new file), also where the source may only be read.

    Files of the hub's cache are often read-only. A copy that is read-only too could not be opened for the new weights.
    """
    for path in source.iterdir():
        path.chmod(0o444)
    (tmp_path / "example").touch()
    trained = trained_weights(tuned(source))
    write_whole(tmp_path / "out", source, trained)
    modes = {path.stat().st_mode for path in (tmp_path / "out").iterdir()}
    assert modes == {(tmp_path / "example").stat().st_mode}
