"""Records against records: every classifier's predictions of the same rows, of runs that share all that they should."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro.claims.wording import brief
from repro.errors import ResultsError
from repro.records.record import RunRecord
from repro.regression.findings import Finding, Rules, Ruling, Side, Way, in_words, why_absent
from repro.regression.paired import MARGIN, Difference, differences

RULINGS = {True: Ruling.HOLDS, False: Ruling.REGRESSION, None: Ruling.UNDECIDED}


@dataclass(frozen=True)
class Arm:
    """What runs must share to be compared; corpus and recipe are their whole stamps as JSON."""

    corpus: str
    recipe: str
    experiment: str
    way: Way
    basis: str


Arms = dict[Arm, dict[int, RunRecord]]  # by seed


def compare_quality(
    before: Sequence[RunRecord], after: Sequence[RunRecord], *, rules: Rules, experiments: Mapping[str, bool]
) -> Iterator[Finding]:
    """Compare two folders' records (oldest first), classifier by classifier.

    `experiments` tells of each whether another seed changes it. ResultsError where no corpus and recipe is common.
    """
    sides = _arms(before, rules), _arms(after, rules)
    _refuse_other_material(*sides)
    for arm in dict.fromkeys((*sides[0], *sides[1])):
        records = [record for side in sides for record in side.get(arm, {}).values()]
        for name in dict.fromkeys(name for record in records for name in _classifiers(record)):
            if rules.counts(f"{arm.experiment}:{name}"):
                yield from _compare(arm, name, sides, rules, seeded=experiments.get(arm.experiment, True))


def _arms(records: Sequence[RunRecord], rules: Rules) -> Arms:
    """Group records by what they must share, the newest of each seed, where anything of them counts."""
    found: Arms = defaultdict(dict)
    for r in records:
        if any(rules.counts(f"{r.experiment}:{name}") for name in _classifiers(r)):
            way = tuple((k, str(v)) for k, v in r.settings if k not in {*rules.across, "seed"} and v is not None)
            basis = in_words(r.recipe.name, r.corpus.name, way)
            arm = Arm(r.corpus.model_dump_json(), r.recipe.model_dump_json(), r.experiment, way, basis)
            found[arm][r.settings.seed] = r
    return dict(found)


def _classifiers(record: RunRecord) -> Iterable[str]:
    return dict.fromkeys((*record.rows, *record.scores))


def _compare(arm: Arm, name: str, sides: tuple[Arms, Arms], rules: Rules, *, seeded: bool) -> Iterator[Finding]:
    full = f"{arm.experiment}:{name}"
    told: dict[str, Any] = {"section": "quality", "names": (full,), "basis": arm.basis}
    arms = [side.get(arm, {}) for side in sides]
    having = [[r for _, r in sorted(found.items()) if name in _classifiers(r)] for found in arms]
    rows = [[r.rows[name] for r in found if name in r.rows] for found in having]
    if not all(having):
        lacking: Side = "candidate" if having[0] else "baseline"
        others = (other for other, found in sides[lacking == "candidate"].items() if _has(found, name))
        held = [other.basis for other in others if other.experiment == arm.experiment]
        yield Finding(
            measure="scores", ruling=rules.on_absent(full, lacking=lacking), why=why_absent(lacking, held), **told
        )
    elif all(rows):
        for found in differences(*rows, seeded=seeded, where=f"{full} ({arm.basis})"):
            yield Finding(
                measure=found.measure,
                ruling=RULINGS[found.holds],
                why=_why(found, seeded=seeded),
                baseline=f"{found.baseline:.4f} ({found.seeds[0]})",
                candidate=f"{found.candidate:.4f} ({found.seeds[1]})",
                difference=found.value,
                interval=found.interval,
                limit=-MARGIN,
                **told,
            )
    elif any(rows):
        lacking = "candidate" if rows[0] else "baseline"
        yield Finding(measure="scores", ruling=Ruling.NOT_COMPARABLE, why=f"the {lacking} has no row results", **told)


def _has(records: Mapping[int, RunRecord], name: str) -> bool:
    return any(name in _classifiers(record) for record in records.values())


def _why(found: Difference, *, seeded: bool) -> str:
    if found.holds:
        return "not worse by the margin"
    if found.holds is False:
        return "worse, beyond chance, and a drop of the margin is not ruled out"
    more = f"about {found.seeds_to_decide} seeds a side would decide" if seeded else "only more rows would decide"
    return f"neither a drop of the margin nor no drop is ruled out; {more}"


def _refuse_other_material(before: Iterable[Arm], after: Iterable[Arm]) -> None:
    """Refuse sides without a common corpus and recipe: ResultsError names the first field that differs."""
    sides = [{(arm.corpus, arm.recipe) for arm in side} for side in (before, after)]
    if not all(sides) or sides[0] & sides[1]:
        return
    corpora = [{corpus for corpus, _ in side} for side in sides]
    if common := corpora[0] & corpora[1]:
        kind, corpus = "recipe", max(common)
        was, now = (max(recipe for found, recipe in side if found == corpus) for side in sides)
    else:
        kind, (was, now) = "corpus", (max(found) for found in corpora)
    a, b = (dict(_flat(json.loads(stamp))) for stamp in (was, now))
    path = next(path for path in (*a, *b) if a.get(path) != b.get(path))
    raise ResultsError(
        f"the baseline is of another {kind} than the candidate: {path} is {brief(a.get(path, 'not there'))} there"
        f" and {brief(b.get(path, 'not there'))} here",
        "Compare runs of one corpus and recipe; nothing was judged.",
    )


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f"{path}.{key}" if path else key)
    else:
        yield path, value
