"""Training: texts to batches, the loop that takes optimizer steps, predictions and their scores.

Begin with `loop.py`: `fit` is the whole training in one screen. What it uses, in the order of the data: `data`
(word pieces), `packing` (rows to a batch), `encoder` (packed attention), `optimizer`, `predict`, `metrics`. `device`
chooses device and precision, `processes` and `memory` say what went wrong in a user's words, and `resume/` saves
states and continues from them. May import errors, spec, records and assets.
"""
