"""What public runs say: the later ones fit the first, nothing drifts that was not known to, and one sentence of it."""

from __future__ import annotations

import pytest
from scipy.stats import spearmanr

from repro.claims.catalogue import load_catalogue
from repro.claims.corroboration import drifts, ordered, out_of_sample, public_runs, version_span
from repro.claims.headline import headline
from repro.claims.judge import judge_all

CATALOGUE = load_catalogue()
FIRST, LATER = (CATALOGUE.populations[name] for name in ("reruns", "later"))


def test_131_distinct_public_runs_of_which_129_state_f1() -> None:
    runs = public_runs(CATALOGUE)
    f1 = runs.figure("f1_2")
    assert (len(FIRST.runs), len(LATER.runs), len(runs.runs), f1.n) == (94, 37, 131, 129)
    assert (round(f1.mean, 4), round(f1.sd, 4)) == (0.9246, 0.0027)
    assert version_span(runs) == "4.11 to 4.57"


def test_the_later_runs_lie_inside_the_first_ones_intervals_and_one_is_odd_jointly() -> None:
    inside, figures, odd = out_of_sample(FIRST, LATER)
    print(f"{inside} of {figures} figures inside ({inside / figures:.3f}), odd: {odd}")  # noqa: T201
    assert 0.93 < inside / figures < 0.99
    assert list(odd) == ["30"]
    assert odd["30"] < 1e-4


def test_f1_does_not_drift_over_versions_nor_over_months() -> None:
    found = drifts(public_runs(CATALOGUE))
    for over in ("transformers", "month"):
        print(found[over, "f1_2"], found[over, "train_loss_1"])  # noqa: T201
        assert found[over, "f1_2"][1] > 0.05


def test_a_drift_is_spearmans_correlation() -> None:
    pairs = [
        (ordered(words["month"]), run["valid_loss_1"])
        for words, run in zip(LATER.descriptions, LATER.runs, strict=True)
        if words["month"]
    ]
    places = sorted({place for place, _ in pairs})
    expected = spearmanr([places.index(place) for place, _ in pairs], [value for _, value in pairs])
    found = drifts(LATER)["month", "valid_loss_1"]
    assert found == (
        pytest.approx(float(expected.statistic)),
        pytest.approx(float(expected.pvalue), rel=1e-6),
        len(pairs),
    )


def test_the_headline_names_the_public_runs_and_what_this_suite_has_not_run() -> None:
    assert headline(CATALOGUE, judge_all(CATALOGUE, [], [])) == (
        "around 92 %: 129 public reruns on transformers 4.11 to 4.57 give 0.9246 ± 0.0027; "
        "not yet run by this suite on the pinned weights (nox -s gpu_bench does)"
    )
