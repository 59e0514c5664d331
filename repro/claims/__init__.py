"""What is claimed, and whether it holds: catalogue x records -> verdicts.

Imports errors, spec, records, display, stats and the data of catalogues; no torch, so that it opens fast and runs where
torch is not installed. Begin with `claim` (what a claim is, and the words of a verdict), then `judge` (from a claim to
its verdict): `cohorts` (which runs belong together), `gates` (what a run must hold and show, also one that is offered),
`kinds` (what is judged seed by seed), `distribution` (means of seeds). `references`: runs that others published.
"""
