"""The official demo's cache.

It sets out to crop the first step's keys, loops over its own empty list instead, and hands on an empty tuple. Old
transformers took that for no cache and computed the prompt every time; new ones stop. Reported four times over:
https://github.com/deepseek-ai/Janus/issues/30, /77, /99, and pull request 137, which repairs the crash alone.
"""

from museum.plant import instead_of


@instead_of("model:JanusFlow.prefill")
def prefill(self, prompt):
    past_key_values = []
    for layer in past_key_values:
        past_key_values.append(layer)
    return tuple(past_key_values)
