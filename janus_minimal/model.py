"""JanusFlow's generation path: a velocity field whose middle is a language model.

The problem. Rectified flow needs a network v(z, t, prompt). JanusFlow's idea is to let a language
model be that network, the same one that also understands images: it has read the prompt's words in
every context, and it can attend from each part of the picture to each word. The language model
needs vectors of width D in a sequence, so the U-ViT and two linear aligners stand around it:

    z, t --encode--> x_emb, t_emb, skip                    U-ViT encoder
         --align_in--> [t_emb ; image tokens]              1 + N tokens of width D
         --backbone--> hidden states                       Llama, after the prompt's tokens
         --align_out--> a map of C channels                image tokens only
         --decode--> v                                     U-ViT decoder, with t_emb and skip

The loop in sampling.py calls these five stages by name, one line each. `velocity` calls them for
you, and `forward` is what training uses.

    B  images         r  rows of the batch: B until the prompt enters, then 2B (B conditional rows,
                         then B unconditional rows); any number in training
    c  latent channels (4)       H W  latent height and width (48 48)
    C  U-ViT channels (768)      h w  after the 2 x 2 patch (24 24)     N = h w  image tokens (576)
    D  language-model width (2048)     L  prompt tokens     n = 1 + N  new tokens

The attribute names are those of the official checkpoint, so that its weights load without renaming.

Sources: JanusFlow (arXiv 2411.07975), section 3; official janus/janusflow/models/modeling_vlm.py
and demo/app_janusflow.py.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from einops import pack, parse_shape, rearrange
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn
from transformers import DynamicCache, LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from janus_minimal.cache import PromptCache
from janus_minimal.config import JanusConfig
from janus_minimal.loading.config_file import read_config, write_config
from janus_minimal.loading.hub import find_checkpoint
from janus_minimal.loading.weights import read_weights, write_weights
from janus_minimal.prompt import PromptPair, PromptRows, duplicate_for_cfg
from janus_minimal.uvit import ShallowUViTDecoder, ShallowUViTEncoder


class RotaryEmbedding(LlamaRotaryEmbedding):
    """transformers' rotary embedding with a frequency table that stays exact in every dtype.

    Why: the table holds the angle per position of each pair of channels. `model.to(torch.bfloat16)`
    would round it like a weight. At position 600 and the released width, the angles would then be
    off by up to 0.73 radians. So after every `.to`, `.half()` or `.cuda()` the table is computed
    again, in float32, on the new device.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RotaryEmbedding":
        """Follow a move to another device, ignore a cast to another dtype."""
        return self.reset(fn(self.inv_freq).device)

    def reset(self, device: torch.device | str) -> "RotaryEmbedding":
        """Compute the table on this device."""
        with torch.device("cpu"):  # or torch's default device, which the caller may have set
            frequencies, _ = self.compute_default_rope_parameters(self.config)
        self.inv_freq = frequencies.to(device)
        self.original_inv_freq = self.inv_freq.clone()
        return self


class JanusFlow(nn.Module):
    """The velocity field v(z, t, prompt), with JanusFlow's architecture and parameter names.

    z, t and v are float32; the weights may have any floating dtype. A model that is loaded with
    `from_pretrained` is in evaluation mode. Moving and casting work as for every torch module.
    """

    def __init__(self, config: JanusConfig):
        super().__init__()
        self.config = config
        channels, width = config.encoder.channels, config.language.hidden_size
        # torch's own attention, even if the file asks for one that needs CUDA.
        llama = LlamaConfig(**asdict(config.language), use_cache=False, attn_implementation="sdpa")
        self.vision_gen_enc_model = ShallowUViTEncoder(config.encoder)
        self.vision_gen_enc_aligner = nn.Linear(channels, width)
        self.language_model = nn.ModuleDict({"model": LlamaModel(llama)})
        self.llama.rotary_emb = RotaryEmbedding(llama)
        self.vision_gen_dec_aligner_norm = nn.RMSNorm(width, eps=config.language.rms_norm_eps)
        self.vision_gen_dec_aligner = nn.Linear(width, config.decoder.in_channels)
        self.vision_gen_dec_model = ShallowUViTDecoder(config.decoder)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        revision: str | None = None,
    ) -> "JanusFlow":
        """Load a model.

        The model is created on the meta device, so no memory is allocated until the weights are
        read, one tensor at a time. Loading therefore needs little more memory than the weights
        take.

        Args:
            checkpoint: "shapes" or "shapes-few" (bundled), a directory in the official layout, or
                a repository of the Hugging Face hub, "owner/name". Only the last uses the network.
            dtype: of the weights. float32 is fastest on most CPUs.
            device: where the weights are placed.
            revision: a branch, tag or commit of the hub repository.

        Raises:
            CheckpointError: for anything that does not fit; the message names it.
        """
        directory = find_checkpoint(checkpoint, revision)
        with torch.device("meta"):
            model = cls(read_config(directory))
        shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
        model.load_state_dict(read_weights(directory, shapes, dtype, device), assign=True)
        model.llama.rotary_emb.reset(device)  # computed, so no checkpoint holds it
        return model.eval()

    def save_pretrained(self, directory: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write config.json and model.safetensors in the official layout, cast to dtype."""
        weights = {key: tensor.to("cpu", dtype) for key, tensor in self.state_dict().items()}
        write_weights(Path(directory), weights)
        write_config(Path(directory), self.config)

    @property
    def llama(self) -> LlamaModel:
        """Return transformers' LlamaModel. The checkpoint calls it `language_model.model`."""
        return self.language_model["model"]

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of the weights."""
        return self.vision_gen_enc_aligner.weight.dtype

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return self.vision_gen_enc_aligner.weight.device

    # The five stages of one evaluation, numbered as in the loop (sampling.py).

    def encode(
        self, z: Float[Tensor, "r c H W"], t: Float[Tensor, ""] | Float[Tensor, "r"]
    ) -> tuple[Float[Tensor, "r C h w"], Float[Tensor, "r D"], Float[Tensor, "r C h w"]]:
        """Stage 1: run the U-ViT encoder. Return (x_emb, t_emb, skip).

        t is in 0..1, one for all rows or one for each. The network is given 1000 t in float32; z is
        cast to the weights' dtype. Nothing here depends on the prompt, so the loop passes B rows.
        """
        return self.vision_gen_enc_model(z.to(self.dtype), 1000 * t.to(z.device).expand(len(z)))

    def align_in(
        self, x_emb: Float[Tensor, "r C h w"], t_emb: Float[Tensor, "r D"]
    ) -> Float[Tensor, "r n D"]:
        """Stage 2: make the new tokens for the language model.

        Why an aligner: the language model's vectors have width D and a meaning learned from text. A
        linear layer maps the U-ViT's C channels into that space. Positions are read in raster
        order, row by row from the top left. The time token goes first, so that every image token
        can attend to it.
        """
        positions = rearrange(x_emb, "r C h w -> r (h w) C")
        tokens = self.vision_gen_enc_aligner(positions)  # r N D
        tokens, _ = pack([t_emb, tokens], "r * D")  # r 1+N D
        return tokens

    def backbone(
        self, tokens: Float[Tensor, "r n D"], rows: PromptRows, cache: PromptCache | None
    ) -> Float[Tensor, "r n D"]:
        """Stage 3: run the language model. Return its hidden state at each new token.

        Here the prompt enters. With a cache, its keys and values are read. Without one, its tokens
        are embedded and put before the new ones; the result is the same (to rounding), only slower.
        Attention is causal among image tokens too: a patch sees the patches above it and to its
        left. The paper found no benefit in other masks.
        """
        n = tokens.shape[1]
        mask, positions = rows.mask(n), rows.new_positions(n)
        if cache is None:
            tokens = torch.cat([self._embed(rows), tokens], dim=1)  # r L+n D
            positions = torch.cat([rows.positions, positions], dim=1)  # r L+n
        return self._llama(tokens, mask, positions, cache)[:, -n:]

    def align_out(
        self, hidden: Float[Tensor, "r n D"], skip: Float[Tensor, "r C h w"]
    ) -> Float[Tensor, "r C h w"]:
        """Stage 4: turn hidden states back into a map of C channels, of the skip's shape.

        The time token's hidden state is dropped: each image token's own hidden state describes its
        patch. This differs from text, where the state at token j predicts token j + 1.
        """
        back = self.vision_gen_dec_aligner(self.vision_gen_dec_aligner_norm(hidden[:, 1:]))  # r N C
        return rearrange(back, "r (h w) C -> r C h w", **parse_shape(skip, "_ _ h w"))

    def decode(
        self,
        back: Float[Tensor, "r C h w"],
        t_emb: Float[Tensor, "r D"],
        skip: Float[Tensor, "r C h w"],
    ) -> Float32[Tensor, "r c H W"]:
        """Stage 5: run the U-ViT decoder. Return the velocity in float32."""
        return self.vision_gen_dec_model(back, t_emb, skip).float()

    # What the stages are for.

    def forward(
        self,
        z: Float[Tensor, "r c H W"],
        t: Float[Tensor, ""] | Float[Tensor, "r"],
        rows: PromptRows,
        cache: PromptCache | None = None,
    ) -> Float32[Tensor, "r c H W"]:
        """Return the velocity of each latent at its time, under its own row of prompt.

        Training calls this: every example has one row, conditional or unconditional.
        """
        x_emb, t_emb, skip = self.encode(z, t)
        return self._velocities(self.align_in(x_emb, t_emb), t_emb, skip, rows, cache)

    def velocity(
        self,
        z: Float[Tensor, "B c H W"],
        t: float | Float[Tensor, ""] | Float[Tensor, "B"],
        prompt: PromptPair,
        cache: PromptCache | None = None,
    ) -> tuple[Float32[Tensor, "B c H W"], Float32[Tensor, "B c H W"]]:
        """Return (v_cond, v_uncond) at time t in 0..1, one time for all images or one for each.

        This is the function that solvers integrate. The cache is `prefill(prompt)`; without it the
        result is the same and the prompt is computed again.
        """
        prompt.check_latents(z)
        time = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float32, device=z.device)
        x_emb, t_emb, skip = self.encode(z, time)
        tokens, t_emb, skip = duplicate_for_cfg(self.align_in(x_emb, t_emb), t_emb, skip)  # 2B rows
        v_cond, v_uncond = self._velocities(tokens, t_emb, skip, prompt.batch(), cache).chunk(2)
        return v_cond, v_uncond

    def prefill(self, prompt: PromptPair) -> PromptCache:
        """Run the language model on the prompt alone and keep its keys and values.

        Why: they are equal in all steps (cache.py says why), so computing them once is enough. They
        are equal for all images of a prompt too, so the language model sees 2P rows, and the
        results are repeated for 2B.
        """
        rows, filled = prompt.rows, DynamicCache()
        self._llama(self._embed(rows), rows.attention_mask, rows.positions, filled)
        repeat = prompt.repeat_per_image
        return PromptCache((repeat(layer.keys), repeat(layer.values)) for layer in filled.layers)

    def _velocities(
        self,
        tokens: Float[Tensor, "r n D"],
        t_emb: Float[Tensor, "r D"],
        skip: Float[Tensor, "r C h w"],
        rows: PromptRows,
        cache: PromptCache | None,
    ) -> Float32[Tensor, "r c H W"]:
        """Run stages 3 to 5, from where the prompt enters."""
        return self.decode(self.align_out(self.backbone(tokens, rows, cache), skip), t_emb, skip)

    def _embed(self, rows: PromptRows) -> Float[Tensor, "r L D"]:
        return self.llama.embed_tokens(rows.ids)

    def _llama(
        self,
        inputs: Float[Tensor, "r q D"],
        mask: Bool[Tensor, "r L"],
        positions: Int[Tensor, "r q"],
        cache: DynamicCache | None,
    ) -> Float[Tensor, "r q D"]:
        """Call transformers' LlamaModel, which adds the causal mask to ours and ends in a norm.

        The positions are given explicitly. Without them, transformers would count the tokens of the
        cache, and left-padded prompts would stand in the wrong places.
        """
        output = self.llama(
            inputs_embeds=inputs,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return output.last_hidden_state
