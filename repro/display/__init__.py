"""What people see before it is put on a page: tables (table.py) and figures (figure.py), and tables on a terminal.

Imports spec and records only; no torch, and matplotlib inside functions.
"""
