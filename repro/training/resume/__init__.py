"""Training states that survive a kill: written whole or not at all, and continued bit for bit.

Begin with `checkpointer.py`, which the loop talks to: when a state is due, what happens when it can't be saved, and
how SIGINT and SIGTERM end a run. `state` is the format on the disk. May import what `repro.training` may.
"""
