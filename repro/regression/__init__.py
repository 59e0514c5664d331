"""Baseline against candidate: what got worse, and what of it fails. No torch here."""
