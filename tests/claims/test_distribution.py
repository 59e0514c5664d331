"""The reruns and what is computed from them, the mean of n seeds against them by scipy, error rates by simulation."""

from __future__ import annotations

from math import sqrt
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import mahalanobis

from repro.claims.claim import Claim, Outcome
from repro.claims.distribution import Comparison, judge_distribution
from repro.claims.judge import judge_all
from repro.claims.references import Figure, drifts, ordered, out_of_sample, version_span
from repro.report.tables import headline
from tests.claims.builders import CATALOGUE

RERUNS, LATER = (CATALOGUE.populations[name] for name in ("reruns", "later"))
JOINT = tuple(name for name in RERUNS.figures if not name.startswith("accuracy"))
F1 = RERUNS.figure("f1_2")
DRAWS = 1000
CLAIMS = ("finetune.f1", "finetune.epoch-1", "finetune.epoch-2")


@pytest.mark.parametrize("shift", [0.0, 0.001, 0.0025, 0.0035, -0.004, 0.006, -0.01])
@pytest.mark.parametrize("spread", [0.2, 1.0, 3.0])
def test_equivalence_and_difference_are_the_t_tests_of_scipy(shift: float, spread: float) -> None:
    values = [F1.mean + shift + spread * d for d in (-0.004, -0.001, 0.0, 0.002, 0.003)]
    comparison = Comparison(seeds=Figure(tuple(values)), reruns=F1, margin=0.005)

    def p_value(margin: float, alternative: str, sd: float, *, equal_var: bool = True) -> float:
        summary = (fmean(values) + margin, sd, len(values), F1.mean, F1.sd, F1.n)
        return float(stats.ttest_ind_from_stats(*summary, alternative=alternative, equal_var=equal_var).pvalue)

    own = stdev(values)
    tost = max(p_value(0.005, "greater", own), p_value(-0.005, "less", own))
    assert comparison.equivalent == (tost <= 0.05)
    low, high = F1.prediction_interval(seeds=5)
    significant = p_value(0, "two-sided", own, equal_var=False) < 0.05 and not low <= fmean(values) <= high
    assert comparison.different == (significant and not comparison.equivalent)


def test_the_half_widths_are_scipys_t_on_the_seeds_and_the_reruns() -> None:
    values = [F1.mean + 0.2 * d for d in (-0.004, -0.001, 0.0, 0.002, 0.003)]  # so near that Welch's is the smaller
    comparison = Comparison(seeds=Figure(tuple(values)), reruns=F1, margin=0.005, tests=2)
    degrees, error = F1.n + 5 - 2, sqrt(1 / 5 + 1 / F1.n)
    pooled = sqrt(((F1.n - 1) * F1.sd**2 + 4 * stdev(values) ** 2) / degrees)
    assert comparison.equivalence == pytest.approx(stats.t.ppf(0.95, degrees) * pooled * error)
    assert comparison.significance == pytest.approx(stats.t.ppf(1 - 0.05 / 2 / 2, F1.n - 1) * F1.sd * error)


def table(names: tuple[str, ...]) -> Any:
    return np.array([[run[name] for name in names] for run in RERUNS.runs])


def measured(claim: Claim, runs: Any) -> list[Any]:
    """What a claim reads from runs, given as rows of the reruns' figures in their order."""
    places = {part: RERUNS.figures.index(name.partition(":")[2]) for part, name in claim.figures.items()}
    rows = [{part: float(run[place]) for part, place in places.items()} for run in runs]
    return [row[""] for row in rows] if "" in places else rows


def drawn(seeds: int, *, spread: float = 1.0, normal: bool = False) -> Any:
    """Draw sets of runs from the distinct reruns (or normally, with their covariance), spread about their mean."""
    random, runs = np.random.default_rng(20261125 + seeds), table(RERUNS.figures)
    mean, size = runs.mean(axis=0), (DRAWS, seeds)
    if normal:
        sets = random.multivariate_normal(mean, np.cov(runs, rowvar=False), size=size)
    else:
        sets = runs[random.integers(len(runs), size=size)]
    return mean + spread * (sets - mean)


def outcomes(claim: Claim, sets: Any, *, shift: float = 0.0) -> list[Outcome]:
    moved = sets + shift * np.array([name == "f1_2" for name in RERUNS.figures])
    return [judge_distribution(claim, CATALOGUE, measured(claim, runs)).outcome for runs in moved]


def rates(words: list[Outcome], what: str) -> tuple[float, float]:
    """The shares that deviate and that are reproduced, shown with -s: the rates in the head of claims.toml."""
    deviating, reproduced = (words.count(word) / len(words) for word in (Outcome.DEVIATES, Outcome.REPRODUCED))
    print(f"{what}: deviates {deviating:.3f}, reproduced {reproduced:.3f}")  # noqa: T201
    return deviating, reproduced


@pytest.mark.parametrize(("spread", "normal"), [(1.0, False), (1.0, True), (1.2, False), (1.4, False)])
def test_sound_runs_seldom_deviate_and_five_of_them_are_mostly_reproduced(spread: float, *, normal: bool) -> None:
    for name in CLAIMS:
        for seeds in (1, 3, 5):
            words = outcomes(CATALOGUE.claim_named(name), drawn(seeds, spread=spread, normal=normal))
            deviating, reproduced = rates(words, f"{name}, spread {spread}, normal {normal}, n = {seeds}")
            assert deviating <= 0.05 or (spread > 1 and seeds < 5)
            assert reproduced == 0 if seeds == 1 else spread > 1 or seeds < 5 or reproduced >= 0.85


@pytest.mark.parametrize(("spread", "most"), [(1.0, 0.05), (1.4, 0.10)])
def test_any_of_the_three_claims_deviates_seldom_where_nothing_is_wrong(spread: float, most: float) -> None:
    sets = drawn(5, spread=spread)
    words = zip(*(outcomes(CATALOGUE.claim_named(name), sets) for name in CLAIMS), strict=True)
    rate = sum(Outcome.DEVIATES in each for each in words) / DRAWS
    assert rate <= most
    assert f" {rate:.1%}".replace("%", " %") in CATALOGUE.texts.rates


@pytest.mark.parametrize("spread", [1.0, 1.4])
def test_five_seeds_notice_a_drop_of_one_point_and_never_call_it_reproduced(spread: float) -> None:
    words = outcomes(CATALOGUE.claim_named("finetune.f1"), drawn(5, spread=spread), shift=-0.01)
    deviating, reproduced = rates(words, f"a point of F1 missing, n = 5, spread {spread}")
    assert (deviating >= 0.95, reproduced) == (True, 0)


def test_adding_seeds_until_it_decides_would_raise_more_false_alarms_than_one_declared_number() -> None:
    claim, sets = CATALOGUE.claim_named("finetune.f1"), drawn(10)
    until = 0
    for runs in sets:
        for n in range(1, 11):
            word = judge_distribution(claim, CATALOGUE, measured(claim, runs[:n])).outcome
            if word is not Outcome.INCONCLUSIVE:
                until += word is Outcome.DEVIATES
                break
    once, _ = rates(outcomes(claim, sets[:, :5]), f"{until / DRAWS:.3f} where seeds are added; with five declared")
    assert once < until / DRAWS


def test_131_distinct_public_runs_of_which_129_state_f1() -> None:
    runs = CATALOGUE.public_runs
    both = runs.figure("f1_2")
    assert (RERUNS.rows, len(RERUNS.runs), len(LATER.runs), len(runs.runs), both.n) == (98, 94, 37, 131, 129)
    assert [(round(f.mean, 4), round(f.sd, 4)) for f in (F1, both)] == [(0.9247, 0.0028), (0.9246, 0.0027)]
    assert version_span(runs) == "4.11 to 4.57"
    assert (round(F1.half_width(), 4), round(F1.half_width(seeds=5), 4)) == (0.0056, 0.0025)


def test_a_percentile_counts_half_of_those_that_are_equal() -> None:
    for value in (0.9, 0.9179, 0.9226, 0.925, 0.94):
        assert F1.percentile(value) == pytest.approx(float(stats.percentileofscore(F1.values, value, kind="mean")))


@pytest.mark.parametrize("names", [JOINT, ("train_loss_1", "f1_2")])
def test_the_joint_distance_is_mahalanobis_of_the_figures_that_are_given(names: tuple[str, ...]) -> None:
    given = {name: RERUNS.figure(name).mean + RERUNS.figure(name).sd for name in names}
    joint, inverse = RERUNS.joint_distance(given), np.linalg.inv(np.cov(table(names), rowvar=False))
    expected = float(mahalanobis(np.array(list(given.values())), table(names).mean(axis=0), inverse))
    assert joint is not None
    assert joint.figures == names
    assert joint.distance == pytest.approx(expected)
    assert RERUNS.joint_distance({"f1_2": 0.92, "accuracy_2": 0.92}) is None  # they say the same: no combination


def test_the_joint_p_value_holds_for_normal_runs() -> None:
    runs = table(JOINT)
    draws = np.random.default_rng(0).multivariate_normal(runs.mean(axis=0), np.cov(runs, rowvar=False), size=500)
    joints = [RERUNS.joint_distance(dict(zip(JOINT, draw, strict=True))) for draw in draws]
    assert 0.02 < sum(joint is not None and joint.p_value < 0.05 for joint in joints) / 500 < 0.08


def test_the_later_runs_lie_inside_the_first_ones_intervals_and_one_is_odd_jointly() -> None:
    inside, figures, odd = out_of_sample(RERUNS, LATER)
    assert 0.93 < inside / figures < 0.99
    assert list(odd) == ["30"]
    assert odd["30"] < 1e-4


def test_f1_does_not_drift_over_versions_nor_over_months() -> None:
    over = drifts(CATALOGUE.public_runs)
    assert all(over[by, "f1_2"][1] > 0.05 for by in ("transformers", "month"))


def test_a_drift_is_spearmans_correlation() -> None:
    pairs = [(ordered(run["month"]), run["valid_loss_1"]) for run in LATER.runs if run["month"]]
    places = sorted({place for place, _ in pairs})
    expected = stats.spearmanr([places.index(place) for place, _ in pairs], [value for _, value in pairs])
    rho, p_value, n = drifts(LATER)["month", "valid_loss_1"]
    assert (rho, p_value) == pytest.approx((float(expected.statistic), float(expected.pvalue)))
    assert n == len(pairs)


def test_the_headline_names_the_public_runs_and_what_this_suite_has_not_run() -> None:
    assert headline(CATALOGUE, judge_all(CATALOGUE, [], [])) == (
        "Does fine-tuning reach a weighted F1 of around 92 %? With transformers 4.11 to 4.57, yes: "
        "129 public reruns, which others published, give 0.9246 ± 0.0027 (mean and standard deviation). With the "
        "versions pinned here, it is not known: this suite has not run that model (nox -s gpu_bench would run it)."
    )
