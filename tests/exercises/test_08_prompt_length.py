"""8. What the unconditional velocity knows of the prompt.

In an unconditional row, padding replaces all tokens but the first, and it is masked out. But masked tokens keep their
position indices. So the unconditional velocity depends on how many tokens the prompt has, and on nothing else of it:

    v_uncond(prompt) = v_uncond(other words of the same number)
    v_uncond(prompt) != v_uncond(prompt with more words)

`velocity(ids)` gives (v_cond, v_uncond) for token ids such as [1, 5, 6, 7, 9]. The first id is the begin-of-sentence
token. Keep it the same in all prompts. The last id is dropped, whatever it is. For the second law use
`not torch.allclose(a, b, rtol=1e-4, atol=1e-5)`: rounding alone is no difference.
"""

import torch
from exercises.start import not_attempted

from janus_minimal import PromptPair


def test_the_unconditional_velocity_knows_the_length_alone(model):
    z = torch.randn(1, 4, 12, 12)

    def velocity(ids):
        return model.velocity(z, 0.5, PromptPair.from_ids([torch.tensor(ids)]))

    not_attempted()  # replace this line by the law
