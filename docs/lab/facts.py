"""Write what the live lab's page must know of the model and its world: python docs/lab/facts.py writes graphs/lab.json.

Words and sizes, and what the scorer needs to tell whether a picture obeys its caption. None of it is typed twice.
"""

import json
from pathlib import Path

from janus_minimal import JanusFlowPipeline
from janus_minimal.loading.atomic import atomic_write
from janus_minimal.prompt import TAG, TEMPLATE
from janus_minimal.shapes import score
from janus_minimal.shapes.caption import COUNTS, PLURALS, WORDS
from janus_minimal.shapes.outline import OUTLINES
from janus_minimal.shapes.render import PALETTE, PAPER
from janus_minimal.shapes.scene import RELATIONS

OUT = Path(__file__).parent / "graphs"
SEEDS = 16  # whose noise is kept

# Twenty captions of every kind that the small world knows. Training never showed the pairs of the last three.
EXAMPLES = (
    "a red circle left of a blue square",
    "three purple stars",
    "a yellow cross and a green triangle",
    "a circle",
    "a star",
    "a blue cross",
    "an orange triangle",
    "a circle and a square",
    "a cross and a star",
    "two squares",
    "three triangles",
    "four circles",
    "two yellow stars",
    "four red crosses",
    "a square above a circle",
    "a green circle below a purple cross",
    "a blue star right of a red triangle",
    "a green star",
    "an orange square",
    "a purple triangle",
)


def facts(pipe: JanusFlowPipeline) -> bytes:
    """Return the content of lab.json."""
    tokenizer, config = pipe.tokenizer, pipe.model.config
    before, after = TEMPLATE.split("{prompt}")
    told = {
        "vocabulary": dict(sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])),
        "words": WORDS,
        "template": {"before": before, "after": after.removesuffix(TAG)},
        "begin": tokenizer.bos_token,
        "end": TAG,
        "pad": tokenizer.pad_token,
        "layers": config.language.num_hidden_layers,
        "latent": pipe.latent_shape,
        "pixels": config.image_size,
        "patch": config.encoder.stride,
        "scalingFactor": pipe.vae.config.scaling_factor,
        "seeds": SEEDS,
        "examples": EXAMPLES,
        "world": {
            "paper": PAPER,
            "palette": PALETTE,
            "outlines": {shape: [[round(u, 6) for u in point] for point in ring] for shape, ring in OUTLINES.items()},
            "relations": RELATIONS,
            "counts": COUNTS,
            "plurals": PLURALS,
            "ink": score.INK,
            "speck": score.SPECK,
            "offColour": score.OFF_COLOUR,
            "poorMatch": score.POOR_MATCH,
        },
    }
    return json.dumps(told, indent=None, ensure_ascii=False).encode()


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(content)


if __name__ == "__main__":
    write(OUT / "lab.json", facts(JanusFlowPipeline.from_pretrained("shapes")))
