"""Notebooks: read without executing them, run cell by cell (`audit`), and repaired for today's libraries (`repair`).

Begin with `reading.py`; `static.py` evaluates what the cells state, `audit.py` and `repair.py` are the two products.
Imports errors, records and display only; nbformat and nbclient inside functions.
"""
