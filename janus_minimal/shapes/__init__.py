"""The small world: drawn scenes with captions, on which a small JanusFlow is trained and scored.

A scene is one to four coloured shapes on a plain background, and a caption is a sentence that is true
of it. Both are drawn by the computer, so there are as many examples as we like, and a program can
read from the pixels whether a generated picture shows what its caption says. Read the files in this
order: `outline`, `scene`, `render`, `caption` (the world), `score` (the scorer), `tokenizer`, `vae`,
`examples` (what is learned from), `run` (a whole training run), `evaluate`, `report` and `compare`
(the result).
"""
