"""The page to play with: a prompt and settings in, pictures and the film of their run out."""
