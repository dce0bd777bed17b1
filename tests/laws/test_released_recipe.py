"""The scripts on the page of the released model do what the page says."""

import json
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from transformers import CLIPConfig, CLIPModel

from janus_minimal import JanusFlow, JanusFlowPipeline
from janus_minimal.loading.hub import BUNDLED

VAE = str(BUNDLED / "shapes" / "vae")
PAGE = Path(__file__).parent.parent.parent / "docs" / "released.md"
SCRIPTS = dict(re.findall(r'```python title="(\w+\.py)"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL))


class Official(nn.Module):
    """Our modules in the form of the official ones: skips travel in a list, and the decoder takes them second."""

    def __init__(self, model: JanusFlow):
        super().__init__()
        self.model = model
        self.language_model = SimpleNamespace(model=model.llama)
        self.vision_gen_enc_aligner = model.vision_gen_enc_aligner
        self.vision_gen_dec_aligner = model.vision_gen_dec_aligner
        self.vision_gen_dec_aligner_norm = model.vision_gen_dec_aligner_norm

    def vision_gen_enc_model(self, z, timestep):
        x_emb, t_emb, skip = self.model.vision_gen_enc_model(z, timestep)
        return x_emb, t_emb, [skip]

    def vision_gen_dec_model(self, back, skips, t_emb):
        return self.model.vision_gen_dec_model(back, t_emb, skips.pop())


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a script of the page in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def script(name: str, *arguments: str) -> None:
        Path(name).write_text(SCRIPTS[name], encoding="utf-8")
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(name)

    return script


@pytest.fixture
def official(monkeypatch, pipe: JanusFlowPipeline) -> None:
    """A module `janus.janusflow.models` that is made of our parts."""
    models = ModuleType("janus.janusflow.models")
    models.__dict__["MultiModalityCausalLM"] = SimpleNamespace(from_pretrained=lambda *_, **__: Official(pipe.model))
    models.__dict__["VLChatProcessor"] = SimpleNamespace(from_pretrained=lambda _: pipe)
    for name in ("janus", "janus.janusflow", "janus.janusflow.models"):
        monkeypatch.setitem(sys.modules, name, models)


def test_the_recipe_finds_equal_modules_equal(run, official, capsys):
    """official(z, t, prompt) = ours(z, t, prompt), stage by stage, where the official modules are ours in their form.

    The scripts do by hand what the stages do, with calls of single modules. So each stage is computed in two ways, and
    a line of a script that compares two different things would show.
    """
    run("ours.py", "shapes", VAE)
    run("official.py", "shapes")
    run("compare.py")
    found = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert list(found) == ["t_emb", "x_emb", "tokens", "hidden", "back", "v"]
    assert all(float(difference) < 1e-5 for difference in found.values())


def test_pictures_stand_where_geneval_looks_for_them(run):
    """pictures/00001/metadata.jsonl = line 1; pictures/00001/samples has 0000.png to 0003.png, of the model's size.

    GenEval's program reads the prompt's line and all samples of its folder. A border or a sheet would be judged too.
    """
    lines = [json.dumps({"tag": "single_object", "prompt": prompt}) for prompt in ("a red circle", "a blue square")]
    Path("prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run("geneval.py", "shapes", VAE, "prompts.jsonl", "pictures")
    for index, line in enumerate(lines):
        folder = Path("pictures", f"{index:05d}")
        assert (folder / "metadata.jsonl").read_text(encoding="utf-8") == line + "\n"
        samples = sorted((folder / "samples").iterdir())
        assert [path.name for path in samples] == [f"{image:04d}.png" for image in range(4)]
        pictures = [Image.open(path) for path in samples]
        assert {picture.size for picture in pictures} == {(48, 48)}
        assert len({picture.tobytes() for picture in pictures}) == 4


def defined(script: str) -> dict[str, Any]:
    """What a script of the page defines."""
    names: dict[str, Any] = {}
    exec(SCRIPTS[script], names)
    return names


def test_the_bootstrap_tells_the_error_of_a_mean():
    """spread(mean, x) = std(x) / sqrt(n), and spread(mean(x) - mean(y)) = 0 for y = x: the same pictures are drawn.

    The mean is the one number whose error is known by a formula, so the bootstrap can be checked on it. If two models
    were given indices of their own, the difference of a model to itself would scatter.
    """
    names = defined("spread.py")
    x = torch.randn(400, generator=torch.Generator().manual_seed(1))
    told, known = names["spread"](torch.mean, x, times=400), x.std() / 400**0.5
    assert abs(told / known - 1) < 0.15
    assert names["spread"](lambda a, b: a.mean() - b.mean(), x, x.clone()) == 0


def test_the_fid_of_a_shift_is_its_square():
    """fid(x + a, mean(x), cov(x)) = |a|^2, and fid(k x, 0, cov(x)) = (k - 1)^2 tr cov(x) for x of mean 0.

    A shift changes the means alone, and a factor the covariances alone, so each part of the formula stands by itself.
    """
    fid = defined("spread.py")["fid"]
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = x - x.mean(0)
    mean, covariance = x.mean(0), torch.cov(x.T)
    shift = torch.tensor([1.0, 2.0, 0.0, -2.0], dtype=torch.float64)
    torch.testing.assert_close(fid(x + shift, mean, covariance), shift.square().sum())
    torch.testing.assert_close(fid(3 * x, mean, covariance), 4 * covariance.trace())


def test_the_clip_score_is_the_cosine_in_per_cent_and_never_negative():
    """clip_scores = 100 max(0, cos), for pairs of picture i and caption i; a CLIP of random weights has both signs.

    CLIP's own logits are cosines of all pictures with all captions, times a temperature: a second way to the cosines.
    """
    torch.manual_seed(0)
    parts = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = parts | {"vocab_size": 50, "eos_token_id": 49}
    vision = parts | {"image_size": 8, "patch_size": 4}
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).eval()
    inputs = {"input_ids": torch.randint(49, (32, 5)), "pixel_values": 3 * torch.randn(32, 3, 8, 8)}
    found = defined("clip.py")["clip_scores"](clip, lambda **_: inputs, [], [])
    with torch.no_grad():
        cosines = clip(**inputs).logits_per_image.diag() / clip.logit_scale.exp()
    assert cosines.min() < 0 < cosines.max()
    torch.testing.assert_close(found, 100 * cosines.clamp(min=0))
