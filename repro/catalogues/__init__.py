"""Catalogues as data: a folder each of `catalogue.toml`, `claims.toml` and tables of raw runs.

`seminar` is what the course reports; `minilm` and `rehearsal` are what this suite itself measured, so that anybody can
compare a machine with it. No code lives here; `repro.claims.catalogue` reads and checks a folder, these or any other.
"""
