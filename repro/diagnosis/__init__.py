"""A stranger's run: where it sits among the reruns, and which known mistake it resembles. No torch here.

Begin with `diagnose.py`, which has a file read, by `logs.py` or `notebook.py`, as a `StudentRun` and judges it by
`mistakes.toml`. Imports errors, stats, claims and notebooks.
"""
