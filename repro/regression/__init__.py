"""Baseline against candidate: what got worse, and what of it fails.

Begin with `verdict` (what is said of a comparison), then `folders` (two results folders: scores and claims) or
`session` (two checkouts timed in turns). `paired` and `speed` hold the two statistics, `workers` and `checkouts` the
processes and the git worktrees. Imports errors, spec, records, display, benchfiles, stats,
catalogues and claims; torch only in the processes that it starts.
"""
