"""Training: texts to batches, the loop that takes optimizer steps, predictions and their scores.

Begin with `loop.py`: `fit` is the whole training in one screen. What it uses, in the order of the data: `data`
(word pieces, rows to a batch), `encoder` (packed attention), `epochs` (what a training is made of), `predict`,
`metrics` (scores with their intervals). `device` chooses device and precision and says what went wrong among several
processes, and `resume/` saves states and continues from them. May import errors, spec, records and assets.
"""
