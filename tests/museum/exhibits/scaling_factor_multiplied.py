"""Latents are multiplied by the scaling factor before decoding.

Encoding multiplies latents by the scaling factor, so decoding must divide by it. Some codes write 1 / 0.18215 instead,
and some define the factor the other way round: https://github.com/Project-MONAI/GenerativeModels/pull/214,
https://github.com/hpcaitech/Open-Sora/issues/838. In the pictures, the objects are in the right places but have wrong
colours.
"""

from diffusers.image_processor import VaeImageProcessor
from museum.plant import instead_of


@instead_of("pipeline:JanusFlowPipeline.to_pictures")
def to_pictures(self, latents, output_type="pil"):
    pixels = self.vae.decode(latents * self.vae.config.scaling_factor).sample.detach()
    return VaeImageProcessor().postprocess(pixels, output_type=output_type)
