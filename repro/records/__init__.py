"""What was measured: one JSON file a run, validated, sealed, append-only.

Imports errors and spec only; no torch. Begin with schema.py (what a record holds), then store.py (the folder of
them); provenance.py says by which code, where and when it ran, durable.py how a file lasts.
"""
