"""The graphs of the live lab are the package's own model: onnxruntime computes from them what torch computes."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
import torch
from export import WEIGHTS, hashes
from facts import OUT, SEEDS, facts
from graphs import noise

from janus_minimal import JanusFlowPipeline, PromptPair
from janus_minimal.figures.attention import look_inside
from janus_minimal.loading.hub import find_checkpoint
from janus_minimal.prompt import PromptRows


@pytest.fixture(scope="module")
def pipe() -> JanusFlowPipeline:
    return JanusFlowPipeline.from_pretrained("shapes")


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, onnxruntime.InferenceSession]:
    """The graphs, in one folder with the weights that they refer to, as they are published."""
    folder = tmp_path_factory.mktemp("graphs")
    for file in WEIGHTS.values():
        shutil.copy(find_checkpoint("shapes") / file, folder)
    for path in OUT.glob("*.onnx"):
        shutil.copy(path, folder)
    return {path.stem: onnxruntime.InferenceSession(path) for path in folder.glob("*.onnx")}


def test_the_graphs_are_of_these_weights_and_this_code():
    """After a change of the weights or of the traced code, the lab would show another model than the package has."""
    assert json.loads((OUT / "hashes.json").read_text(encoding="utf-8")) == hashes(find_checkpoint("shapes")), (
        "the lab's graphs are stale: expected a run of `python docs/lab/export.py`"
    )


def test_the_page_is_told_what_the_package_says(pipe):
    """Words, sizes and the scorer's numbers are written by a command; a change in the package must reach the page."""
    assert (OUT / "lab.json").read_bytes() == facts(pipe), "expected a run of `python docs/lab/facts.py`"


@pytest.mark.parametrize("spread", [1, 2])
@pytest.mark.parametrize("caption", ["a star", "a red circle left of a blue square"])
def test_the_graphs_compute_what_the_model_computes(pipe, sessions, caption, spread):
    """Both velocities and the attention, for prompts of other lengths and positions than those that were traced.

    Positions 0, 2, 4, ... find a graph that counts for itself and ignores the positions that it is given.
    """
    rows, z, t = PromptPair.from_text(caption, pipe.tokenizer).rows, noise(pipe, 3), torch.tensor([0.3])
    pair = PromptPair(PromptRows(rows.ids, rows.attention_mask, spread * rows.positions), 1)
    inside = look_inside(pipe.model, z, t, pair)
    prompt = {"mask": pair.rows.attention_mask.numpy(), "positions": pair.rows.positions.numpy()}
    keys, values = sessions["prefill"].run(None, {"ids": pair.rows.ids.numpy(), **prompt})
    cache = {"keys": keys, "values": values}
    v_cond, v_uncond, attention = sessions["step"].run(None, {"z": z.numpy(), "t": t.numpy(), **prompt, **cache})
    np.testing.assert_allclose(v_cond, inside.v_cond, atol=1e-4)
    np.testing.assert_allclose(v_uncond, inside.v_uncond, atol=1e-4)
    np.testing.assert_allclose(attention, inside.attention.mean(2), atol=1e-5)


def test_the_graph_of_the_vae_decodes_as_the_pipeline_does(pipe, sessions):
    """The picture that the lab shows is the one that Python writes."""
    (pixels,) = sessions["decode"].run(None, {"z": noise(pipe, 1).numpy()})
    shown = (np.clip(pixels, -1, 1) + 1) / 2
    np.testing.assert_allclose(shown, pipe.to_pictures(noise(pipe, 1), "pt"), atol=1e-4)


def test_the_lab_starts_from_the_noise_of_the_seed(pipe):
    """Each kept seed is the same noise in the page and in `janus-minimal generate --seed`."""
    kept = np.fromfile(OUT / "noise.bin", dtype=np.float32).reshape(SEEDS, *pipe.latent_shape)
    np.testing.assert_array_equal(kept, torch.cat([noise(pipe, seed) for seed in range(SEEDS)]))
