"""Training a velocity field: recipe, batches, loss, optimisers and a loop that can be interrupted.

Nothing here knows what the pictures show. A caller brings latents and token ids, or a source of
pictures and captions: drawn scenes (`janus_minimal.shapes`) or a folder of their own (`pictures`).
Read the files in this order: `recipe`, `batch`, `loss`, `optimizers`, `learner`, `loop`, `flow`, then
`source`, `vae`, `tokenizer`, `small` and `run`, which lead from pictures to a checkpoint. Fine-tuning
is told by `tuning`, `finetune`, `lora`, `master` and `start`. The others guard a run: `settings`,
`folder`, `surroundings`.
"""
