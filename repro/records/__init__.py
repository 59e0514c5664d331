"""What was measured: one JSON file a run, validated, sealed, append-only.

Imports errors and spec only; no torch. Begin with schema.py (what a record holds), then store.py (the folder of
them); source.py says which code decides a result, provenance.py where and when it ran.
"""
