"""Between a directory in the official layout and the model: config, weights, tokenizer, VAE, hub, atomic files."""
