"""The official demo's cache is always empty.

The demo means to crop the keys of the first step. It loops over its own empty list instead, and passes on an empty
tuple. Old versions of transformers treated this as "no cache" and computed the prompt again in every step: the pictures
were right, only slower. New versions stop with an error: in the demo at its second step, the first that is handed the
tuple, and here before the first step, since the bug sits in the prefill. Three issues report it:
https://github.com/deepseek-ai/Janus/issues/30, https://github.com/deepseek-ai/Janus/issues/77 and
https://github.com/deepseek-ai/Janus/issues/99. Pull request https://github.com/deepseek-ai/Janus/pull/137 repairs only
the crash.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow.prefill",
        right="return PromptCache(layers, prompt)",
        wrong="""past_key_values = []
        for keys, values in past_key_values:
            past_key_values.append((repeat(keys), repeat(values)))
        return tuple(past_key_values)""",
    ),
]
