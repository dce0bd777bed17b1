"""Does representation alignment help here? python docs/alignment.py RUNS (30 minutes) writes alignment.json.

Three equal short runs for each of three seeds: without the alignment loss, with it, and a control. The control has the
same loss with the features of another scene. If it helped as much, the help would come from any second loss and not
from what the features say. RUNS is a folder for the runs' states: a command that was stopped goes on where it was.

The encoder. It should know what is in a picture, as SigLIP does in the paper. The VAE would not do: it was trained to
keep all pixels, and its features are the latent that the flow sees anyway. So a small network is trained to count the
things of each colour and shape. It sees the latent, which holds all that is in the picture and is at hand in training.
"""

import json
import sys
from pathlib import Path
from statistics import mean, stdev

import torch
from accelerate import Accelerator
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from janus_minimal import JanusFlowPipeline
from janus_minimal.loading.atomic import atomic_write
from janus_minimal.shapes.evaluate import score_pipeline
from janus_minimal.shapes.examples import SmallWorld, draw_example, tokenize_examples
from janus_minimal.shapes.scene import COLOURS, SHAPES
from janus_minimal.training.alignment import AlignedFlow
from janus_minimal.training.batch import draw_batch
from janus_minimal.training.loop import fit
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.small import build_flow
from janus_minimal.training.source import encode_examples

SEEDS = (0, 1, 2)
RUNS = {  # coefficient (1 is the paper's sum L_RF + L_REPA), and whose features: 0 its own, 1 those of the scene before
    "without": (0.0, 0),
    "aligned": (1.0, 0),
    "control": (1.0, 1),
}
EXAMPLES, HELD_OUT, FEATURES = 8000, 256, 64
BLOCK = 2  # of 6; the paper takes the 6th of 24
STEPS, BATCH, CAPTIONS, EULER_STEPS = 500, 8, 10, 12
KINDS = [(colour, shape) for colour in COLOURS for shape in SHAPES]


class Counter(nn.Module):
    """The encoder: from a latent, how many things of each colour and shape. `features` is what is aligned with."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(4, FEATURES, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(FEATURES, FEATURES, 3, stride=2, padding=1),  # 12 x 12 become 6 x 6, one for each image token
            nn.SiLU(),
            nn.Conv2d(FEATURES, FEATURES, 3, padding=1),
        )
        self.count = nn.Linear(FEATURES, len(KINDS))

    def forward(self, z: Float[Tensor, "n 4 12 12"]) -> Float[Tensor, "n kinds"]:
        return self.count(F.silu(self.features(z)).sum((2, 3)))


def counts(first: int, number: int) -> Float[Tensor, "n kinds"]:
    """The truth, of examples in a row."""
    scenes = [caption.draw(rng) for caption, rng in (draw_example(i, 0) for i in range(first, first + number))]
    return torch.tensor(
        [[sum((t.colour, t.shape) == kind for t in scene) for kind in KINDS] for scene in scenes]
    ).float()


def train_counter(latents: Tensor, steps: int = 800) -> tuple[Counter, float]:
    """The encoder, and its share of held-out scenes in which every count is right."""
    torch.manual_seed(0)
    counter, truth = Counter(), counts(0, len(latents))
    optimizer = torch.optim.AdamW(counter.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in tqdm(range(steps), desc="encoder"):
        chosen = torch.randint(len(latents) - HELD_OUT, (64,))
        F.mse_loss(counter(latents[chosen]), truth[chosen]).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    counter.eval().requires_grad_(False)
    right = (counter(latents[-HELD_OUT:]).round() == truth[-HELD_OUT:]).all(dim=1)
    return counter, right.float().mean().item()


class Experiment:
    """What all runs have in common: examples, encoder, and how a model is judged."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bundled = folder, JanusFlowPipeline.from_pretrained("shapes")
        file = folder / "latents.safetensors"
        if not file.exists():
            with atomic_write(file) as unfinished:
                save_file(
                    {"latents": encode_examples(self.bundled.vae, SmallWorld(EXAMPLES + HELD_OUT, 0))}, unfinished
                )
        self.latents = load_file(file)["latents"]
        self.ids = tokenize_examples(self.bundled.tokenizer, len(self.latents), 0)
        self.pad_id = self.bundled.tokenizer.pad_token_id
        self.counter, self.counted = train_counter(self.latents)

    def run(self, seed: int, kind: str) -> dict[str, float]:
        """Train a run of this kind, and judge the averaged model."""
        file, (coefficient, shift) = self.folder / f"seed-{seed}-{kind}.json", RUNS[kind]
        if file.exists():
            return json.loads(file.read_text(encoding="utf-8"))
        recipe = Recipe(STEPS, BATCH, learning_rate=2e-3, average=0.99, save_every=STEPS // 4, seed=seed)
        torch.manual_seed(seed)
        network = AlignedFlow(build_flow(len(self.bundled.tokenizer)), FEATURES, BLOCK)
        accelerator = Accelerator(cpu=True)

        def loss(network: nn.Module, step: int) -> Tensor:
            batch = draw_batch(step, self.ids[:EXAMPLES], self.latents[:EXAMPLES], BATCH, seed)
            target = self.counter.features(batch.z_1).roll(shift, dims=0)
            return network(batch, target, self.pad_id, coefficient)

        state = file.with_suffix(".safetensors")
        trained = fit(network, loss, recipe, state, accelerator, lambda *_: None, kind).eval()
        record = self.judge(trained)
        with atomic_write(file) as unfinished:
            unfinished.write_text(json.dumps(record), encoding="utf-8")
        return record

    @torch.no_grad()
    def judge(self, trained: AlignedFlow) -> dict[str, float]:
        """Loss and alignment on held-out examples, the same for all runs, and the share of right pictures."""
        batch = draw_batch(0, self.ids[EXAMPLES:], self.latents[EXAMPLES:], 4 * HELD_OUT, seed=99)
        target = self.counter.features(batch.z_1)
        velocity = flow_loss(trained.model, batch, self.pad_id).item()
        pipe = JanusFlowPipeline(trained.model, self.bundled.vae, self.bundled.tokenizer)
        return {
            "loss": velocity,
            "cosine": velocity - trained(batch, target, self.pad_id, 1.0).item(),
            "score": score_pipeline(pipe, CAPTIONS, EULER_STEPS, 2.0, 0).overall,
        }


def summary(records: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Of each number, the mean over the seeds and their standard deviation."""
    return {key: {"mean": mean(r[key] for r in records), "std": stdev(r[key] for r in records)} for key in records[0]}


def less(records: list[dict[str, float]], others: list[dict[str, float]]) -> list[dict[str, float]]:
    """Of each number, the difference of two runs of one seed."""
    return [{key: a[key] - b[key] for key in a} for a, b in zip(records, others, strict=True)]


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(folder)
    runs = {kind: [experiment.run(seed, kind) for seed in SEEDS] for kind in RUNS}
    record = {
        "settings": {
            "steps": STEPS,
            "batch": BATCH,
            "examples": EXAMPLES,
            "block": BLOCK,
            "captions": CAPTIONS,
            "Euler steps": EULER_STEPS,
            "held out": HELD_OUT,
            "seeds": len(SEEDS),
        },
        "encoder": {"all counts right": experiment.counted},
        **{kind: summary(records) for kind, records in runs.items()},
        "difference": {kind: summary(less(runs[kind], runs["without"])) for kind in RUNS if kind != "without"},
        "runs": runs,
    }
    (Path(__file__).parent / "alignment.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
