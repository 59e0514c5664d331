"""Baseline against candidate: what got worse, and what of it fails.

Begin with `verdict` (what is said of a comparison), then `folders` (two results folders: scores and claims) or
`session` (two checkouts timed in turns, and the statistic of their seconds). `paired` is the statistic of scores;
`workers` and `checkouts` are the processes and the git worktrees. Imports errors, spec, records, display, benchfiles,
stats, catalogues and claims; torch only in the processes that it starts.
"""
