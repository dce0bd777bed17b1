"""The small world: drawn scenes, their captions, a scorer that reads pixels, and the training of a small JanusFlow."""
