"""Compute the official numbers of tests/golden anew, from a clone of the official code, and compare.

cd tests && python -m tools.official path/to/Janus

Encoder and decoder are the clone's, built with the sizes and the weights of tests/golden. The clone's other modules do
not load under transformers 5 and are not needed: the language model is transformers' own, the aligners are two linear
layers and a norm, and the loop is that of tools.official_loop.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file
from tools.checkpoints import GOLDEN
from tools.official_loop import demo, no_cache
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel

CONFIG: dict[str, Any] = json.loads((GOLDEN / "config.json").read_text(encoding="utf-8"))
PACKAGES = ("janus", "janus.janusflow", "janus.janusflow.models")


def official_uvit(clone: Path) -> ModuleType:
    """Import the clone's uvit.py. Its packages stand empty around it, so that no __init__.py of theirs runs."""
    for name in PACKAGES:
        sys.modules[name] = shell = ModuleType(name)
        shell.__path__ = [str(clone.joinpath(*name.split(".")))]
    return importlib.import_module(f"{PACKAGES[-1]}.uvit")


class Parts:
    """The official parts, called as ours are: a skip is a tensor, and the decoder takes it last."""

    def __init__(self, uvit: ModuleType):
        weights, language = load_file(GOLDEN / "model.safetensors"), dict(CONFIG["language_config"])
        width, channels = language["hidden_size"], CONFIG["vision_gen_dec_config"]["params"]["in_channels"]
        del language["_attn_implementation"]  # it asks for a GPU
        llama = LlamaModel(LlamaConfig(**language, bos_token_id=None, eos_token_id=None, use_cache=False))
        self.encoder, self.decoder = (_built(uvit, name, weights) for name in ("vision_gen_enc", "vision_gen_dec"))
        self.llama = _filled(llama, "language_model.model.", weights)
        aligners = {
            "vision_gen_enc_aligner": nn.Linear(channels, width),
            "vision_gen_dec_aligner_norm": nn.RMSNorm(width, language["rms_norm_eps"]),
            "vision_gen_dec_aligner": nn.Linear(width, channels),
        }
        for name, module in aligners.items():
            setattr(self, name, _filled(module, f"{name}.", weights))

    def vision_gen_enc_model(self, z: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x_emb, t_emb, skips = self.encoder(z, timestep)
        return x_emb, t_emb, skips[0]

    def vision_gen_dec_model(self, back: Tensor, t_emb: Tensor, skip: Tensor) -> Tensor:
        return self.decoder(back, [skip], t_emb)


def _built(uvit: ModuleType, name: str, weights: dict[str, Tensor]) -> nn.Module:
    """Build a class of the clone as config.json says, with the weights of its name."""
    told = CONFIG[f"{name}_config"]
    return _filled(getattr(uvit, told["cls"])(**told["params"]), f"{name}_model.", weights)


def _filled(module: nn.Module, prefix: str, weights: dict[str, Tensor]) -> nn.Module:
    """Load all weights whose names begin so; none may be missing, and none may be left."""
    module.load_state_dict({key.removeprefix(prefix): x for key, x in weights.items() if key.startswith(prefix)})
    return module.eval()


@torch.no_grad()
def computed(parts: Parts) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield the name of a stored tensor, what the parts compute today, and what is stored."""
    golden = load_file(GOLDEN / "golden.safetensors")
    x_emb, t_emb, _ = parts.vision_gen_enc_model(golden["enc_x"], golden["enc_t"])
    yield from (("enc_x_emb", x_emb, golden["enc_x_emb"]), ("enc_t_emb", t_emb, golden["enc_t_emb"]))
    decoded = parts.vision_gen_dec_model(golden["dec_x"], golden["enc_t_emb"], golden["dec_skip"])
    yield "dec_out", decoded, golden["dec_out"]
    for name, weight in (("loop_w1", 1.0), ("loop_w", 2.0)):
        steps = list(demo(parts, golden["input_ids"], golden[f"{name}_z"][0], no_cache, weight))
        velocities, latents = (torch.stack(values) for values in zip(*steps, strict=True))
        yield f"{name}_v", velocities, golden[f"{name}_v"]
        yield f"{name}_z", latents, golden[f"{name}_z"][1:]


def main() -> None:
    """Print how far each stored tensor is from what the clone computes, relative to its size."""
    for name, found, stored in computed(Parts(official_uvit(Path(sys.argv[1]).resolve()))):
        print(f"{name:<10}{((found - stored).norm() / stored.norm()).item():.1e}")


if __name__ == "__main__":
    main()
