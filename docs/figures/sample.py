"""What the figures that count right pictures share: captions of every category, one noise each, and the score."""

import numpy as np
import torch
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.score import satisfies


class Sample:
    """A bundled model, `each` captions of every category, and one noise for each."""

    def __init__(self, each: int, seed: int, checkpoint: str = "shapes") -> None:
        self.pipe = JanusFlowPipeline.from_pretrained(checkpoint)
        self.captions = [caption for category in CATEGORIES for caption in fresh_captions(category, each, seed)]
        self.pair = PromptPair.from_text([str(caption) for caption in self.captions], self.pipe.tokenizer)
        self.z = image_noise(self.pipe.latent_shape, len(self.captions), torch.Generator().manual_seed(seed))

    def hits(self, z: Tensor) -> str:
        """Return 1 for each picture of which the caption is true, and 0 for the others."""
        pictures = zip(self.pipe.to_pictures(z), self.captions, strict=True)
        return "".join(str(int(satisfies(np.asarray(picture), caption))) for picture, caption in pictures)

    def score(self, z: Tensor) -> float:
        """Return the share of pictures of which the caption is true."""
        return self.hits(z).count("1") / len(self.captions)
