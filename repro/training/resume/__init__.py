"""Training states that survive a kill: written whole or not at all, and continued bit for bit.

Begin with `checkpointer.py`, which the loop talks to: when a state is due, and what happens when it can't be saved.
`snapshot` captures and restores a training, `state` is the format on the disk, `signals` turns SIGINT and SIGTERM into
a saved state, `lock` gives a run's folder to one process at a time. May import what `repro.training` may.
"""
