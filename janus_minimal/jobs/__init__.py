"""Work that is larger than one call of the pipeline: a file of prompts becomes a folder of pictures."""
