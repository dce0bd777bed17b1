"""The paper's s where w is meant: guidance is one too strong.

Ho and Salimans count from s = w - 1, so that 0 means no guidance; most code counts from w = 1. Asked again and again:
https://github.com/lucidrains/denoising-diffusion-pytorch/issues/155, https://github.com/huggingface/diffusers/issues/5882.
"""

from museum.plant import instead_of


@instead_of("flow:guide")
def guide(v_cond, v_uncond, weight):
    return v_cond + weight * (v_cond - v_uncond)
