"""A second course in miniature: another notebook, another corpus, judged from a folder of data alone."""

from __future__ import annotations

from pathlib import Path

CATALOGUE = """
schema_version = 2
name = "reviews"
recipe = "tiny"
command = "python -m repro run {experiment} --recipe tiny --corpus reviews"
sections = ["Data", "Model"]
corroboration = ["class"]

[headline]
claim = "model.f1"
said = "about half"
command = "make train"

[texts]
title = "Does the course on reviews still hold?"
lead = "Two sections."
sources = "“cell N” is the N-th cell of the notebook."

[references.class]
file = "runs.csv"
about = "students' runs"
figures = ["loss", "f1"]
described_by = ["student", "transformers"]

[needs.reviews]
text = "the course's reviews"
holds."corpus.name" = "reviews"
"""
CLAIMS = """
[[claim]]
id = "data.rows"
version = 1
section = "Data"
text = "There are twelve reviews a split."
reported = [12, 12, 12]
shown = "12 a split"
source = "cell 3"
kind = "exact"
evidence = "construction"
experiment = "corpus-facts"
measure = "corpus-facts:facts.rows"
needs = ["reviews"]

[[claim]]
id = "model.f1"
version = 3
section = "Model"
text = "The classifier reaches an F1 of about one half."
reported = 0.5
shown = "about 0.5"
source = "cell 9"
kind = "distribution"
evidence = "measurement"
experiment = "finetune"
measure = "finetune:scores.epoch-2/validation.weighted_f1"
reference = "class:f1"
tolerance = 0.05
reason = "A quarter of the spread between students."
needs = ["reviews"]
"""
RUNS = """student,transformers,loss,f1
a,4.50.0,1.30,0.48
b,4.51.0,1.28,0.50
c,4.52.0,1.31,0.52
d,4.53.0,1.29,0.49
e,4.54.0,1.30,0.51
"""


def write_course(folder: Path, **changed: str) -> Path:
    """Write the course's catalogue; `catalogue`, `claims` or `runs` replace a file."""
    folder.mkdir(exist_ok=True)
    files = {"catalogue.toml": "catalogue", "claims.toml": "claims", "runs.csv": "runs"}
    texts = {"catalogue": CATALOGUE, "claims": CLAIMS, "runs": RUNS, **changed}
    for name, text in files.items():
        (folder / name).write_text(texts[text], encoding="utf-8")
    return folder
