"""Training a velocity field: recipe, batches, loss, optimisers and a loop that can be interrupted.

Nothing here knows what the pictures show. A caller brings latents and token ids, from drawn scenes
(`janus_minimal.shapes`) or from pictures of their own, and a network that predicts a velocity. Read
the files in this order: `recipe`, `batch`, `loss`, `optimizers`, `learner`, `loop`, `flow`. The
others guard a run: `settings`, `folder`, `surroundings`.
"""
