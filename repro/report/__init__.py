"""Tables, figures and pages, all made from records and verdicts. No torch here.

Begin with `pages` (everything that `repro report` writes). A section's figures stand in its own file (confusion
matrices: sections/classified.py); here are those of several sections: `reruns`, `costs`, `timings`. `tables` makes the
tables, whose columns stand in report.toml; `webpage` makes report.html of the templates.
"""
