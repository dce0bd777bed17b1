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

Why it is cut there: each cut is where the data change their form, from a map to tokens to hidden
states and back. And the prompt enters in stage 3 alone. Everything before it is equal with and
without the prompt, so stages 1 and 2 run once for each image, on B rows. The loop then repeats
three things to 2B rows: the tokens, and also t_emb and skip, which go around the language model to
the decoder and must meet its 2B hidden states there.

    B  images         r  rows of the batch: B until the prompt enters, then 2B (B conditional rows,
                         then B unconditional rows); any number in training
    c  latent channels (4)       H W  latent height and width (48 48)
    C  U-ViT channels (768)      h w  after the 2 x 2 patch (24 24)     N = h w  image tokens (576)
    D  language-model width (2048)     L  prompt tokens     n = 1 + N  new tokens

The attribute names are those of the official checkpoint, so that its weights load without renaming.
(They call the encoder `vision_gen_enc` because the full model has a second one, for understanding.)

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
from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.loading.config_file import read_config, write_config
from janus_minimal.loading.hub import find_checkpoint
from janus_minimal.loading.weights import read_weights, write_weights
from janus_minimal.prompt import PromptPair, PromptRows, duplicate_for_cfg
from janus_minimal.runtime.device import known_device
from janus_minimal.uvit import ShallowUViTDecoder, ShallowUViTEncoder


class RotaryEmbedding(LlamaRotaryEmbedding):
    """transformers' rotary embedding with a frequency table that stays exact in every dtype.

    Why: the table holds the angle per position of each pair of channels. `model.to(torch.bfloat16)`
    would round it like a weight. At position 600 and the released width, the angles would then be
    off by up to 0.73 radians. So after every `.to`, `.half()` or `.cuda()` the table is computed
    again, in float32, on the new device.

    The table is no weight: it follows from rope_theta and the width of a head, and no checkpoint
    has it. A model that was created on the meta device needs it computed, too.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RotaryEmbedding":
        """Follow a move to another device, ignore a cast to another dtype.

        torch calls this for `.to`, `.half` and `.cuda`. `fn` moves and casts at once; only the
        device of its result is used.
        """
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

    One evaluation of the bundled model, with its five shapes. It has c = 4, H = W = 12, C = 96,
    D = 192, so N = 6 x 6 = 36 image tokens. The prompt, "a circle" in its chat template, has six
    tokens; L = 5 of them stay.

    >>> model = JanusFlow.from_pretrained("shapes")
    >>> pair = PromptPair.from_ids([torch.tensor([0, 4, 6, 23, 5, 2])])
    >>> x_emb, t_emb, skip = model.encode(torch.zeros(1, 4, 12, 12), torch.tensor(0.5))
    >>> x_emb.shape, t_emb.shape  # one row: B = 1
    (torch.Size([1, 96, 6, 6]), torch.Size([1, 192]))
    >>> tokens = model.align_in(x_emb, t_emb)
    >>> tokens, t_emb, skip = duplicate_for_cfg(tokens, t_emb, skip)
    >>> tokens.shape  # two rows from here on; 1 + 36 tokens
    torch.Size([2, 37, 192])
    >>> hidden = model.backbone(tokens, pair.batch(), model.prefill(pair))
    >>> hidden.shape  # the prompt's tokens are in the cache, not in the result
    torch.Size([2, 37, 192])
    >>> back = model.align_out(hidden, skip)
    >>> back.shape, model.decode(back, t_emb, skip).shape
    (torch.Size([2, 96, 6, 6]), torch.Size([2, 4, 12, 12]))

    The released sizes can be looked at without memory for the weights:

    >>> with torch.device("meta"):
    ...     released = JanusFlow(JanusConfig())
    >>> f"{sum(weight.numel() for weight in released.parameters()):,}"
    '1,518,267,152'
    """

    def __init__(self, config: JanusConfig):
        super().__init__()
        self.config = config
        channels, width = config.encoder.channels, config.language.hidden_size
        # torch's own attention, even if the file asks for one that needs CUDA. No text is written,
        # so no token ends one; transformers' defaults may lie outside a small vocabulary.
        textless = {"use_cache": False, "bos_token_id": None, "eos_token_id": None}
        llama = LlamaConfig(**asdict(config.language), **textless, attn_implementation="sdpa")
        self.vision_gen_enc_model = ShallowUViTEncoder(config.encoder)
        self.vision_gen_enc_aligner = nn.Linear(channels, width)
        # Officially a LlamaForCausalLM: a `model`, and a word head that turns hidden states into
        # text. Drawing needs no head (210 million weights), so only `model` is kept, in its place.
        self.language_model = nn.ModuleDict({"model": LlamaModel(llama)})
        self.llama.rotary_emb = RotaryEmbedding(llama)
        # LlamaModel ends in a norm already. This one has weights of its own; the file has both.
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
        take: 6.1 GB in float32 for the released model, 3.0 GB in bfloat16.

        Why strict: a loader that skips missing or unknown keys leaves random weights behind. Such a
        model runs, and its pictures only look bad. Here every weight is in the file under its
        official name, or loading stops. Keys of the understanding path are known and left out.

        Args:
            checkpoint: "shapes" or "shapes-few" (bundled), a directory in the official layout, or
                a repository of the Hugging Face hub, "owner/name". Only the last uses the network.
            dtype: of the weights. float32 is fastest on most CPUs.
            device: where the weights are placed.
            revision: a branch, tag or commit of the hub repository.

        Raises:
            InputError: if there is no such device.
            CheckpointError: for anything that does not fit; the message names it.
        """
        device = known_device(device)
        directory = find_checkpoint(checkpoint, revision)
        with torch.device("meta"):
            model = cls(read_config(directory))
        # The model itself says which keys must be there, and with which shapes.
        shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
        # assign: what was read becomes the weights. A copy into meta tensors would be lost.
        model.load_state_dict(read_weights(directory, shapes, dtype, device), assign=True)
        model.llama.rotary_emb.reset(device)  # computed, so no checkpoint holds it
        return model.eval()

    def save_pretrained(self, directory: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write config.json and model.safetensors in the official layout, cast to dtype.

        The files hold the generation path alone. `loading.whole.write_whole` writes a copy of the
        checkpoint that a model was loaded from, in which only what was trained differs.

        Raises:
            InputError: if the directory cannot be written, for a dtype no model computes in, and
                for a model without weights, on the meta device.
            CheckpointError: for weights that no loader knows, those of adapters.
        """
        if any(hasattr(part, "get_base_layer") for part in self.modules()):
            raise CheckpointError("the model has adapters: expected one from merge_adapters")
        write_weights(Path(directory), self.state_dict(), dtype)
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

    # The five stages of one evaluation, numbered as in the loop (sampling.py). They are methods of
    # their own so that they can be timed, compiled (runtime/compile.py) and looked into one by one.

    def encode(
        self, z: Float[Tensor, "r c H W"], t: Float[Tensor, ""] | Float[Tensor, "r"]
    ) -> tuple[Float[Tensor, "r C h w"], Float[Tensor, "r D"], Float[Tensor, "r C h w"]]:
        """Stage 1: run the U-ViT encoder. Return (x_emb, t_emb, skip).

        t is in 0..1, one for all rows or one for each. The network is given 1000 t in float32; z is
        cast to the weights' dtype. Nothing here depends on the prompt, so the loop passes B rows.

        Why the time is not cast too: bfloat16 has 8 significant bits, so between 512 and 1024 its
        numbers are 4 apart. At t = 29/30 the network would be told 968 in place of 966.67.
        """
        return self.vision_gen_enc_model(z.to(self.dtype), 1000 * t.to(z.device).expand(len(z)))

    def align_in(
        self, x_emb: Float[Tensor, "r C h w"], t_emb: Float[Tensor, "r D"]
    ) -> Float[Tensor, "r n D"]:
        """Stage 2: make the new tokens for the language model.

        Why an aligner: the language model's vectors have width D and a meaning learned from text. A
        linear layer maps the U-ViT's C channels into that space. In the paper's first stage only
        the new parts are trained, so they learn to fit the language model as it is.

        Positions are read in raster order, row by row from the top left: in the released model the
        patch in row i, column j becomes image token 24 i + j. The time token goes first, so that
        every image token can attend to it. It has width D already and needs no aligner.
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
        Never both: with a cache and the prompt's tokens, each image token would attend to the
        prompt twice. That runs without an error, and the latents are wrong.

        Attention is causal among image tokens too: a patch sees the rows of patches above it and
        what stands to its left. The paper found no benefit in other masks. What lies below reaches
        a patch through the convolutions of the U-ViT.

        The mask has one entry for each of the L + n keys, also with a cache. Only the last n hidden
        states are returned: those of the prompt were needed for their keys and values.
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
        patch. This differs from text, where the state at token j predicts token j + 1. Code that
        drops the last state, as text models do, moves every patch by one token.

        Why a second aligner: the decoder puts these channels beside those of the skip, so it needs
        C of them again and not D. Only the height and the width of the skip are read here, because
        N = 576 alone does not say 24 x 24.
        """
        back = self.vision_gen_dec_aligner(self.vision_gen_dec_aligner_norm(hidden[:, 1:]))  # r N C
        return rearrange(back, "r (h w) C -> r C h w", **parse_shape(skip, "_ _ h w"))

    def decode(
        self,
        back: Float[Tensor, "r C h w"],
        t_emb: Float[Tensor, "r D"],
        skip: Float[Tensor, "r C h w"],
    ) -> Float32[Tensor, "r c H W"]:
        """Stage 5: run the U-ViT decoder. Return the velocity in float32.

        Why skip and time come around the language model: the decoder needs fine detail and the
        exact time, and neither has to pass through 24 layers on its way. Such a long skip is known
        from U-ViT (arXiv 2209.12152). Their rows are doubled, as those of the hidden states are.

        Why float32, whatever the weights are: bfloat16 layers have rounded the velocity already. In
        bfloat16, guidance and Euler step would round it and the latent again, in each of 30 steps.
        """
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

        Training calls this: every example has one row, conditional or unconditional. So nothing is
        repeated, and there are as many latents as rows. There is no cache in training, because the
        weights change with every step, and with them the prompt's keys and values.

        It has torch's name `forward`, because data-parallel wrappers act on calls of the model.
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

        This is the function that solvers integrate. The cache is `prefill(prompt)` of this model
        with its present weights, which is not checked. Without it the result is the same, and the
        prompt is computed again.

        The two are returned apart, not guided. So a solver can use a weight that changes with the
        time, or leave guidance out, and a figure can show what the prompt changes.

        Raises:
            InputError: if there is not one latent for each image of the pair, or if the cache is
                another pair's.
        """
        prompt.check_latents(z)
        if cache is not None:
            cache.check_prompt(prompt)
        # Solvers of other libraries count in plain numbers. float32, whatever torch's default is.
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

        Why without the prompt's last token, <begin_of_image>: the official demo puts the time token
        in its place, and so does our training. `PromptPair` has dropped it, and the rows hold the L
        tokens before it. With it in the cache, the image would stand one position too far.

        The hidden states are thrown away: later tokens read keys and values only.

        Raises:
            InputError: if no keys were kept. Gradient checkpointing leaves them out in training
                mode, and images that see no prompt would be drawn without an error.
        """
        rows, filled = prompt.rows, DynamicCache()
        self._llama(self._embed(rows), rows.attention_mask, rows.positions, filled)
        if filled.get_seq_length() != rows.ids.shape[1]:
            raise InputError("gradient checkpointing fills no cache: expected model.eval()")
        repeat = prompt.repeat_per_image
        layers = ((repeat(layer.keys), repeat(layer.values)) for layer in filled.layers)
        return PromptCache(layers, prompt)

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
        """Look up the prompt's tokens in the word table, masked ones too: none is attended to."""
        return self.llama.embed_tokens(rows.ids)

    def _llama(
        self,
        inputs: Float[Tensor, "r q D"],
        mask: Bool[Tensor, "r L"],
        positions: Int[Tensor, "r q"],
        cache: DynamicCache | None,
    ) -> Float[Tensor, "r q D"]:
        """Call transformers' LlamaModel, which adds the causal mask to ours and ends in a norm.

        It is given vectors (`inputs_embeds`) and not token ids, because time token and image tokens
        are in no word table.

        The positions are given explicitly. Without them, transformers would count the tokens of the
        cache, and left-padded prompts would stand in the wrong places.

        The cache is whatever the caller passes: `prefill` fills a DynamicCache, the loop reads a
        PromptCache, which stores nothing.
        """
        output = self.llama(
            inputs_embeds=inputs,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return output.last_hidden_state
