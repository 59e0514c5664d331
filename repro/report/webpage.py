"""report.html: one file that needs no network, made of templates, the verdicts, tables, timings and figures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from repro.benchfiles import Benchmark
from repro.claims.catalogue import Catalogue
from repro.claims.headline import headline, reference_line
from repro.claims.judge import Verdict
from repro.display.table import Table, as_text
from repro.records.schema import RunRecord
from repro.report import tables
from repro.report.charts import Strip, legend
from repro.report.gallery import Picture
from repro.report.strips import strips
from repro.report.timings import basis, commit_of, grouped_bars, seconds
from repro.spec import RunSpec

RULES = {  # how each kind is judged, as the head of claims.toml says
    "exact": "holds when the measured value equals the reported one",
    "value": "holds when every number is within the tolerance, in both directions, and everything else is equal",
    "distribution": "holds when the seeds' mean is equivalent to the public reruns' mean, within the margin",
    "reference": "holds when every figure lies in the prediction interval of this suite's own runs",
    "range": "holds when every measured number lies in the reported range, ends included",
    "one-of": "holds when the measured word of every part is among those reported",
    "overlap": "holds when enough of the reported list is in the measured one",
    "ordering": "holds when it is ahead by more than the margin, and significantly so on the same rows",
    "information": "never judged, only shown",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A claim on the page: its verdict, a name for styles, what its needs say, and its figures drawn on strips."""

    verdict: Verdict
    style: str
    rule: str
    explained: bool
    needs: tuple[str, ...]
    strips: tuple[Strip, ...]
    legend: str


def render(template: str, **values: object) -> str:
    """Render a template of this package; what goes into HTML is escaped, a missing name is an error."""
    environment = Environment(
        loader=PackageLoader("repro.report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["as_text"] = as_text
    return environment.get_template(template).render(**values)


def report_html(
    catalogue: Catalogue,
    verdicts: Sequence[Verdict],
    records: Sequence[RunRecord],
    report_tables: Mapping[str, Table],
    pictures: Sequence[Picture],
    timings: Sequence[Benchmark],
) -> str:
    """Return the page; it forbids itself every request and every script but its own."""
    style, script = _own("style.css"), _own("page.js")
    return render(
        "report.html",
        style=Markup(style),  # noqa: S704 (ours, and nothing is put into it)
        script=Markup(script),  # noqa: S704 (the same)
        policy=f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        texts=catalogue.texts,
        headline=headline(catalogue, verdicts) or reference_line(catalogue, verdicts),
        rows=[_row(catalogue, verdict) for verdict in verdicts],
        sections=list(dict.fromkeys(v.claim.section for v in verdicts)),
        counts=tables.outcome_counts(verdicts),
        signs={str(outcome): sign for outcome, sign in tables.SIGNS.items()},
        galleries=_galleries(verdicts, pictures),
        timings=grouped_bars(timings),
        seconds=seconds,
        basis=basis,
        commit_of=commit_of,
        tables=report_tables,
        commands=commands(records),
        commits=list(dict.fromkeys(r.provenance.commit for r in records if r.provenance.commit)),
        records=len(records),
    )


def commands(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return (what it ran, command) of every setup, in the records' order."""
    sections: dict[RunSpec, dict[str, None]] = {}
    seeds: dict[RunSpec, set[int]] = {}
    for spec in (r.spec for r in records if r.experiment != "published"):  # it runs with any recipe: the book's model
        sections.setdefault(spec.setup, {})[spec.section] = None
        seeds.setdefault(spec.setup, set()).add(spec.seed)
    return [(setup.label, setup.command(list(names), seeds[setup])) for setup, names in sections.items()]


def _row(catalogue: Catalogue, verdict: Verdict) -> Row:
    needs, drawn = catalogue.needs, strips(catalogue, verdict)
    return Row(
        verdict=verdict,
        style=str(verdict.outcome).replace(" ", "-"),
        rule=RULES[verdict.claim.kind],
        explained=verdict.outcome in tables.EXPLAINED,
        needs=tuple(needs[name].text for name in verdict.claim.needs),
        strips=drawn,
        legend=legend(drawn),
    )


def _galleries(verdicts: Sequence[Verdict], pictures: Sequence[Picture]) -> list[tuple[str, list[Picture]]]:
    """Return the pictures by section, in the claims' order; in a section the broad ones first, so that rows fill."""
    order = list(dict.fromkeys([*(v.claim.section for v in verdicts), *(p.section for p in pictures)]))
    galleries = [
        (section, sorted((p for p in pictures if p.section == section), key=lambda p: not p.broad)) for section in order
    ]
    return [(section, members) for section, members in galleries if members]


def _own(name: str) -> str:
    return files("repro.report").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
