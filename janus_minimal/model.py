"""JanusFlow's generation path: U-ViT encoder -> aligner -> Llama -> aligner -> U-ViT decoder.

Attribute names are those of the official checkpoint. (JanusFlow, arXiv 2411.07975; official
janus/janusflow/models/modeling_vlm.py and demo/app_janusflow.py.)

    B  images      r  rows of the batch: B before the words come in, then 2B, B conditional before B unconditional; any
                   number in training
    c  latent channels (4)        H W  latent height and width (48 48)
    h w  after the 2 x 2 patch (24 24)        N = h w  image tokens (576)        n = 1 + N  new tokens
    C  U-ViT channels (768)       D  language-model width (2048)       L  prompt tokens
"""

from dataclasses import asdict
from pathlib import Path

import torch
from einops import parse_shape, rearrange
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn
from transformers import DynamicCache, LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from janus_minimal.cache import PromptCache
from janus_minimal.checkpoint import read_config, read_weights, write_checkpoint
from janus_minimal.config import JanusConfig
from janus_minimal.hub import find_checkpoint
from janus_minimal.prompt import PromptPair, PromptRows, both
from janus_minimal.uvit import ShallowUViTDecoder, ShallowUViTEncoder


class JanusFlow(nn.Module):
    """A velocity field over latents, told the time and the prompt: z, t and v in float32, weights of any dtype."""

    def __init__(self, config: JanusConfig):
        super().__init__()
        self.config = config
        channels, width = config.encoder.channels, config.language.hidden_size
        # Torch's own attention, whatever the checkpoint asks for.
        llama = LlamaConfig(**asdict(config.language), use_cache=False, attn_implementation="sdpa")
        self.vision_gen_enc_model = ShallowUViTEncoder(config.encoder)
        self.vision_gen_enc_aligner = nn.Linear(channels, width)
        self.language_model = nn.ModuleDict({"model": LlamaModel(llama)})
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
        """Load a bundled checkpoint ("shapes"), a directory in the official layout, or a repository of the hub.

        One tensor at a time, so that little more memory is needed than the weights take. Raises CheckpointError.
        """
        directory = find_checkpoint(checkpoint, revision)
        with torch.device("meta"):  # names and shapes only, no memory
            model = cls(read_config(directory))
        shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
        model.load_state_dict(read_weights(directory, shapes, dtype, device), assign=True)
        # The rotary table is computed, so no checkpoint holds it.
        model.llama.rotary_emb = LlamaRotaryEmbedding(model.llama.config).to(device)
        return model.eval()

    def save_pretrained(self, directory: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write config.json and model.safetensors in the official layout, each whole or not at all."""
        weights = {key: tensor.to("cpu", dtype) for key, tensor in self.state_dict().items()}
        write_checkpoint(Path(directory), self.config, weights)

    @property
    def llama(self) -> LlamaModel:
        """transformers' LlamaModel, whose keys the checkpoint has under `language_model.model`."""
        return self.language_model["model"]

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self.vision_gen_enc_aligner.weight.dtype

    @property
    def device(self) -> torch.device:
        """The weights' device."""
        return self.vision_gen_enc_aligner.weight.device

    # The stages of one evaluation, numbered as in the loop (denoise.py).

    def encode(
        self, z: Float[Tensor, "r c H W"], t: Float[Tensor, ""] | Float[Tensor, "r"]
    ) -> tuple[Float[Tensor, "r C h w"], Float[Tensor, "r D"], Float[Tensor, "r C h w"]]:
        """1: latent and time in 0..1 -> (x_emb, t_emb, skip). The network is told 1000 t."""
        return self.vision_gen_enc_model(z.to(self.dtype), 1000 * t.to(z.device).expand(len(z)))

    def align_in(self, x_emb: Float[Tensor, "r C h w"], t_emb: Float[Tensor, "r D"]) -> Float[Tensor, "r n D"]:
        """2: the new tokens for the language model: the time as one token, then the image, row by row."""
        tokens = self.vision_gen_enc_aligner(rearrange(x_emb, "r C h w -> r (h w) C"))  # r N D
        return torch.cat([rearrange(t_emb, "r D -> r 1 D"), tokens], dim=1)

    def think(
        self, tokens: Float[Tensor, "r n D"], rows: PromptRows, cache: PromptCache | None
    ) -> Float[Tensor, "r n D"]:
        """3: the language model's hidden state at each new token. With a cache the prompt is read, not run again."""
        n = tokens.shape[1]
        mask, positions = rows.mask(n), rows.new_positions(n)
        if cache is None:
            tokens = torch.cat([self._embed(rows), tokens], dim=1)  # r L+n D
            positions = torch.cat([rows.positions, positions], dim=1)
        return self._llama(tokens, mask, positions, cache)[:, -n:]

    def align_out(self, hidden: Float[Tensor, "r n D"], skip: Float[Tensor, "r C h w"]) -> Float[Tensor, "r C h w"]:
        """4: hidden states of the image tokens -> a map of the skip's shape."""
        back = self.vision_gen_dec_aligner(self.vision_gen_dec_aligner_norm(hidden[:, 1:]))  # r N C
        return rearrange(back, "r (h w) C -> r C h w", **parse_shape(skip, "_ _ h w"))

    def decode(
        self, back: Float[Tensor, "r C h w"], t_emb: Float[Tensor, "r D"], skip: Float[Tensor, "r C h w"]
    ) -> Float32[Tensor, "r c H W"]:
        """5: the map, the time and the skip -> a velocity."""
        return self.vision_gen_dec_model(back, t_emb, skip).float()

    # What the stages are for.

    def forward(
        self,
        z: Float[Tensor, "r c H W"],
        t: Float[Tensor, ""] | Float[Tensor, "r"],
        rows: PromptRows,
        cache: PromptCache | None = None,
    ) -> Float32[Tensor, "r c H W"]:
        """The velocity of each latent at its time under its own row of prompt: what training calls."""
        x_emb, t_emb, skip = self.encode(z, t)
        return self._rest(self.align_in(x_emb, t_emb), t_emb, skip, rows, cache)

    def velocity(
        self,
        z: Float[Tensor, "B c H W"],
        t: float | Float[Tensor, ""] | Float[Tensor, "B"],
        prompt: PromptPair,
        cache: PromptCache | None = None,
    ) -> tuple[Float32[Tensor, "B c H W"], Float32[Tensor, "B c H W"]]:
        """(v_cond, v_uncond) at a time 0..1, one for all images or one each. The cache changes nothing but the work."""
        x_emb, t_emb, skip = self.encode(z, torch.as_tensor(t))
        tokens, t_emb, skip = both(self.align_in(x_emb, t_emb), t_emb, skip)
        v_cond, v_uncond = self._rest(tokens, t_emb, skip, prompt.batch(), cache).chunk(2)
        return v_cond, v_uncond

    def prefill(self, prompt: PromptPair) -> PromptCache:
        """Run the prompt alone, once per pair of rows, and keep its keys and values for all images and steps."""
        filled = DynamicCache()
        self._llama(self._embed(prompt.rows), prompt.rows.visible, prompt.rows.positions, filled)
        return PromptCache((prompt.of_batch(layer.keys), prompt.of_batch(layer.values)) for layer in filled.layers)

    def _rest(
        self,
        tokens: Float[Tensor, "r n D"],
        t_emb: Float[Tensor, "r D"],
        skip: Float[Tensor, "r C h w"],
        rows: PromptRows,
        cache: PromptCache | None,
    ) -> Float32[Tensor, "r c H W"]:
        """3 to 5: from where the words come in to the velocities."""
        return self.decode(self.align_out(self.think(tokens, rows, cache), skip), t_emb, skip)

    def _embed(self, rows: PromptRows) -> Float[Tensor, "r L D"]:
        return self.llama.embed_tokens(rows.ids)

    def _llama(
        self,
        inputs: Float[Tensor, "r q D"],
        mask: Bool[Tensor, "r L"],
        positions: Int[Tensor, "r q"],
        cache: DynamicCache | None,
    ) -> Float[Tensor, "r q D"]:
        """transformers' LlamaModel; it makes the causal mask itself and applies ours on top."""
        output = self.llama(
            inputs_embeds=inputs,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return output.last_hidden_state
