"""Sinusoids of the position are added to the embeddings, as in the first transformer.

Llama uses RoPE: it rotates queries and keys by their positions, so attention depends on differences of positions alone.
The first transformer added sinusoids of the position to its input. Whoever knows that one adds them here too, and no
error is raised. The pictures hardly change.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow._llama",
        right="output = self.llama(",
        wrong="""waves = positions[..., None] / 10000 ** torch.linspace(0, 1, inputs.shape[-1])
        output = self.llama(""",
    ),
    Change(
        "model:JanusFlow._llama",
        right="inputs_embeds=inputs,",
        wrong="inputs_embeds=inputs + waves.sin().to(inputs.dtype),",
    ),
]
