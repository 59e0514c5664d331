"""Corpora and checkpoints: pinned, found in a folder, a package or on the Hub, verified before anything is measured.

Begin with `recipes` (what is pinned), then `checkpoints` (found and verified), `loading` (read into memory, its
behaviour compared) and `corpus`; `hub` and `watch` fetch within bounds; `tiny` builds models of random weights.
Imports from errors, spec, records and notebooks.
"""
