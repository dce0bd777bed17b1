"""8. What the unconditional velocity knows of the prompt."""

import torch

from janus_minimal import PromptPair


def test_the_unconditional_velocity_knows_the_length_alone(model):
    z = torch.randn(1, 4, 12, 12)

    def velocity(ids):
        return model.velocity(z, 0.5, PromptPair.from_ids([torch.tensor(ids)]))

    (_, one), (_, other) = velocity([1, 5, 6, 7, 9]), velocity([1, 8, 3, 4, 9])
    torch.testing.assert_close(one, other)
    _, longer = velocity([1, 5, 6, 7, 8, 3, 9])
    assert not torch.allclose(one, longer, rtol=1e-4, atol=1e-5)
