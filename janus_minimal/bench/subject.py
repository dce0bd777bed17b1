"""What the bench times: one model with one prompt and one noise, and every action on them.

An action is a function without arguments, so that clock.py can run all of them in turns. There are
three groups: whole steps of the loop (`loops`), the stages of one step (`stages`), and other ways
to do some stages (`alternatives`), which show what a choice of ours saves or would save.

    B  images       r  rows: 2B       n  new tokens: 1 + N       D  language-model width
"""

from copy import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from janus_minimal.bench.clock import Action
from janus_minimal.bench.sizes import random_model
from janus_minimal.cache import PromptCache
from janus_minimal.config import JanusConfig
from janus_minimal.flow import euler_step, guide, time_grid
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair, PromptRows, duplicate_for_cfg
from janus_minimal.runtime.compile import compile_stages
from janus_minimal.sampling import denoise


@dataclass(frozen=True)
class Subject:
    """A model, a prompt of random tokens, and the noise z from which it starts."""

    model: JanusFlow
    prompt: PromptPair
    z: Float32[Tensor, "B c H W"]

    @classmethod
    def of(
        cls,
        config: JanusConfig,
        side: int,
        images: int,
        prompt_tokens: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> "Subject":
        """Return a subject with random weights, a random prompt, and noise of side x side.

        Args:
            config: the sizes of the model.
            side: height and width of the latent, 48 in the released model.
            images: B, all of the same prompt.
            prompt_tokens: L. One more is drawn, because the last token of a prompt is dropped.
            dtype: of the weights.
            device: where weights and noise are placed.
        """
        ids = torch.randint(config.language.vocab_size, (prompt_tokens + 1,))
        prompt = PromptPair.from_ids([ids], images).to(device)
        z = torch.randn(images, config.encoder.input_channels, side, side, device=device)
        return cls(random_model(config, dtype, device), prompt, z)

    def loops(self, rounds: int, compiled: bool = False) -> dict[str, Action]:
        """Return actions that take one step each.

        They are: the work of the official demo, ours without a cache, ours, and ours compiled. Each
        action of ours takes the next step of its own generator, so it does real work each time.
        """
        times = time_grid(rounds + 1)  # one more, to warm up
        plain = denoise(self.model, self.prompt, self.z, times, use_cache=False)
        cached = denoise(self.model, self.prompt, self.z, times)
        actions: dict[str, Action] = {
            "official style": lambda: self.official_step(*times[:2]),
            "ours, no cache": lambda: next(plain),
            "ours": lambda: next(cached),
        }
        if compiled:
            faster = copy(self.model)  # of the same weights
            compile_stages(faster)
            steps = denoise(faster, self.prompt, self.z, times)
            actions["ours, compiled"] = lambda: next(steps)
        return actions

    @torch.no_grad()
    def official_step(
        self, t: Float32[Tensor, ""], t_next: Float32[Tensor, ""]
    ) -> Float32[Tensor, "B c H W"]:
        """Take one step with the work of the official demo, whose cache stays empty.

        It encodes 2B rows, although both rows of an image are equal there, and it runs the language
        model on the prompt in every step. The result is the same as ours.
        """
        v_cond, v_uncond = self.model(*duplicate_for_cfg(self.z), t, self.prompt.batch()).chunk(2)
        return euler_step(self.z, guide(v_cond, v_uncond, 2.0), t, t_next)

    @torch.no_grad()
    def stages(self) -> dict[str, Action]:
        """Return an action for the prefill, for each stage of a step, and for each alternative.

        Every stage is given what the stage before it returned, so each can be timed alone.
        """
        model, rows, cache, t = (
            self.model,
            self.prompt.batch(),
            self.model.prefill(self.prompt),
            torch.tensor(0.3),
        )
        x_emb, t_emb, skip = model.encode(self.z, t)
        tokens, t_embs, skips = duplicate_for_cfg(model.align_in(x_emb, t_emb), t_emb, skip)
        hidden = model.backbone(tokens, rows, cache)
        back = model.align_out(hidden, skips)
        v_cond, v_uncond = model.decode(back, t_embs, skips).chunk(2)
        actions = {
            "prefill": lambda: model.prefill(self.prompt),
            "encode": lambda: model.encode(self.z, t),
            "align in": lambda: duplicate_for_cfg(model.align_in(x_emb, t_emb), t_emb, skip),
            "language model": lambda: model.backbone(tokens, rows, cache),
            "align out": lambda: model.align_out(hidden, skips),
            "decode": lambda: model.decode(back, t_embs, skips),
            "guide and Euler": lambda: euler_step(self.z, guide(v_cond, v_uncond, 2.0), t, t + 0.1),
        }
        return actions | self.alternatives(tokens, rows, cache)

    def alternatives(
        self, tokens: Tensor, rows: PromptRows, cache: PromptCache
    ) -> dict[str, Action]:
        """Return other ways to do some stages.

        Two of them are what the loop avoids: encoding both rows of each image, and running the
        prompt in every step. The others are savings that the loop does not make, because they are
        small: the mask made once for all steps, the unconditional rows in a call of their own with
        one prompt token, and the copying of the prompt's keys and values in each layer.
        """
        model, t = self.model, torch.tensor(0.3)
        return {
            "encode every row": lambda: model.encode(duplicate_for_cfg(self.z)[0], t),
            "language model with the prompt": lambda: model.backbone(tokens, rows, None),
            "language model, mask made before": _with_mask(model, tokens, rows, cache),
            "language model, rows without words apart": _halves(model, tokens, rows, cache),
            "joining the prompt's keys and the new ones": _joining(model, tokens, cache),
        }


def _with_mask(
    model: JanusFlow, tokens: Float[Tensor, "r n D"], rows: PromptRows, cache: PromptCache
) -> Action:
    """Return a call of the language model with the complete mask, made once for all steps."""
    new, old = tokens.shape[1], rows.ids.shape[1]
    causal = torch.ones(new, old + new, dtype=torch.bool, device=tokens.device).tril(old)
    mask, positions = rows.mask(new)[:, None, None] & causal, rows.new_positions(new)
    return lambda: model.llama(
        inputs_embeds=tokens,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )


def _halves(
    model: JanusFlow, tokens: Float[Tensor, "r n D"], rows: PromptRows, cache: PromptCache
) -> Action:
    """Return two calls of the language model, for the conditional and the unconditional rows.

    An unconditional row attends to a single token of the prompt. Alone, it needs the keys and
    values of that token only.
    """
    images = len(tokens) // 2
    worded, first = (
        torch.arange(images),
        PromptRows(
            rows.ids[images:, :1], rows.attention_mask[images:, :1], rows.positions[images:, -1:]
        ),
    )
    with_words = PromptCache((layer.keys[:images], layer.values[:images]) for layer in cache.layers)
    without = PromptCache(
        (layer.keys[images:, :, :1], layer.values[images:, :, :1]) for layer in cache.layers
    )
    return lambda: (
        model.backbone(tokens[:images], rows[worded.to(tokens.device)], with_words),
        model.backbone(tokens[images:], first, without),
    )


def _joining(model: JanusFlow, tokens: Float[Tensor, "r n D"], cache: PromptCache) -> Action:
    """Return the copying of one step: all layers join the keys of the prompt and the new ones."""
    heads = model.config.language.num_key_value_heads
    prompt = cache.layers[0].keys
    new = prompt.new_zeros(len(tokens), heads, tokens.shape[1], prompt.shape[-1])
    return lambda: [cache.update(new, new, index) for index in range(len(cache.layers))]
