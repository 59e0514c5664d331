"""A stranger's run: where it sits among the reruns, and which known mistake it resembles. No torch here.

Begin with `files.py`, one reader a format, all of which return a `StudentRun`; `diagnose.py` judges it by
`mistakes.toml`. Imports errors, stats, claims and notebooks.
"""
