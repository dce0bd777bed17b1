"""How far each of our modules is from the official one, on the stored numbers of tests/golden.

cd tests && python -m tools.parity     writes docs/parity.json in a few seconds
"""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file
from tools.checkpoints import GOLDEN
from torch import Tensor

from janus_minimal import JanusFlow, PromptPair, denoise, time_grid
from janus_minimal.uvit import sinusoids

RECORD = Path(__file__).parent.parent.parent / "docs" / "parity.json"
LIBRARIES = ("torch", "transformers")
STEPS = 6
Pair = tuple[str, Tensor, Tensor]  # what is compared, our numbers, the official ones


def compared() -> Iterator[Pair]:
    """Yield what our modules compute beside what the official ones computed, each from the official inputs."""
    model, golden = JanusFlow.from_pretrained(GOLDEN), load_file(GOLDEN / "golden.safetensors")
    yield from _modules(model, golden)
    for weight, name in ((1.0, "loop_w1"), (2.0, "loop_w")):
        for use_cache in (False, True):
            yield from _loop(model, golden, weight, name, use_cache)


def _modules(model: JanusFlow, golden: dict[str, Tensor]) -> Iterator[Pair]:
    encoder = model.vision_gen_enc_model
    block = encoder.mid_block.res_blocks[0]
    x_emb, t_emb, _ = encoder(golden["enc_x"], golden["enc_t"])
    yield "sinusoids of 1000 t", sinusoids(golden["enc_t"], golden["time_proj"].shape[1]), golden["time_proj"]
    yield "encoder: time token", t_emb, golden["enc_t_emb"]
    yield "encoder: map of channels", x_emb, golden["enc_x_emb"]
    yield "GRN of the encoder's first block", block.channelwise_norm(golden["grn_x"]), golden["grn_out"]
    yield "the encoder's first block", block(golden["dec_skip"], golden["enc_t_emb"]), golden["block_out"]
    decoded = model.vision_gen_dec_model(golden["dec_x"], golden["enc_t_emb"], golden["dec_skip"])
    yield "decoder: velocity", decoded, golden["dec_out"]


def _loop(model: JanusFlow, golden: dict[str, Tensor], weight: float, name: str, use_cache: bool) -> Iterator[Pair]:
    prompt = PromptPair.from_ids([golden["input_ids"]], images_per_prompt=2, pad_id=0)
    z = golden[f"{name}_z"]
    steps = list(denoise(model, prompt, z[0], time_grid(STEPS), weight, use_cache))
    told = f"{STEPS} steps, w = {weight:g}, {'with' if use_cache else 'without'} cache"
    yield f"{told}: velocities", torch.stack([step.v for step in steps]), golden[f"{name}_v"]
    yield f"{told}: latents", torch.stack([step.z_next for step in steps]), z[1:]


def measured() -> dict[str, dict[str, float]]:
    """Return the largest difference of each pair, the largest official number, and the relative difference."""
    return {
        name: {
            "largest difference": (ours - official).abs().max().item(),
            "largest number": official.abs().max().item(),
            "relative": ((ours - official).norm() / official.norm()).item(),
        }
        for name, ours, official in compared()
    }


def randomised() -> dict[str, int]:
    """Return how many parameters the small checkpoint has, and how many of its tensors hold one number only."""
    weights = JanusFlow.from_pretrained(GOLDEN).state_dict().values()
    constant = sum(bool((tensor == tensor.flatten()[0]).all()) for tensor in weights)
    return {"parameters": sum(map(torch.numel, weights)), "tensors": len(weights), "constant tensors": constant}


def main() -> None:
    """Measure, and write the record."""
    found = {"versions": {name: version(name) for name in LIBRARIES}, "checkpoint": randomised()}
    RECORD.write_text(json.dumps(found | {"modules": measured()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
