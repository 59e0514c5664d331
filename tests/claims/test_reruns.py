"""The 98 reruns and what is computed from them, held against scipy and the figures that the design states."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import mahalanobis

from repro.claims.catalogue import load_catalogue
from repro.claims.reruns import FIGURES, joint_distance, reference, reruns
from repro.stats import t_quantile, t_tail

JOINT = tuple(name for name in FIGURES if not name.startswith("accuracy"))


def test_students_t_in_closed_form_is_scipys() -> None:
    for degrees in (1, 2, 3, 4, 5, 10, 97, 98, 101, 500):
        for probability in (0.5, 0.9, 0.95, 0.975, 0.9995):
            expected = float(stats.t.ppf(probability, degrees))
            assert t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert t_tail(2.5, degrees) == pytest.approx(float(stats.t.sf(2.5, degrees)), rel=1e-9)
    with pytest.raises(ValueError, match="degree of freedom"):
        t_quantile(0.3, 5)


def test_98_cards_are_94_distinct_runs_since_one_run_stands_there_five_times() -> None:
    assert (load_catalogue().populations["reruns"].rows, len(reruns())) == (98, 94)
    f1 = reference("f1_2")
    assert (f1.n, round(f1.mean, 4), round(f1.sd, 4)) == (94, 0.9247, 0.0028)
    assert load_catalogue().populations["reruns"].figures == FIGURES


def test_one_run_lies_within_0_0056_and_the_mean_of_five_within_0_0025() -> None:
    f1 = reference("f1_2")
    assert round(f1.half_width(), 4) == 0.0056
    assert round(f1.half_width(seeds=5), 4) == 0.0025
    t = float(stats.t.ppf(0.975, 93))
    assert f1.half_width(seeds=5) == pytest.approx(t * f1.sd * math.sqrt(1 / 5 + 1 / 94))


def test_a_percentile_counts_half_of_those_that_are_equal() -> None:
    f1 = reference("f1_2")
    for value in (0.9, 0.9179, 0.9226, 0.925, 0.94):
        assert f1.percentile(value) == pytest.approx(float(stats.percentileofscore(f1.values, value, kind="mean")))


def test_the_joint_distance_is_mahalanobis_of_the_figures_that_are_given() -> None:
    for names in (JOINT, ("train_loss_1", "f1_2")):
        table = np.array([[run[name] for name in names] for run in reruns()])
        inverse = np.linalg.inv(np.cov(table, rowvar=False))
        given = {name: reference(name).mean + reference(name).sd for name in names}
        joint = joint_distance(given)
        assert joint is not None
        assert joint.distance == pytest.approx(
            float(mahalanobis(np.array([given[name] for name in names]), table.mean(axis=0), inverse))
        )
        assert joint.figures == names
    assert joint_distance({"f1_2": 0.92, "accuracy_2": 0.92}) is None  # they say the same: no combination


def test_the_joint_p_value_holds_for_normal_runs() -> None:
    table = np.array([[run[name] for name in JOINT] for run in reruns()])
    draws = np.random.default_rng(0).multivariate_normal(table.mean(axis=0), np.cov(table, rowvar=False), size=500)
    p_values = [joint_distance(dict(zip(JOINT, draw, strict=True))) for draw in draws]
    share = sum(joint is not None and joint.p_value < 0.05 for joint in p_values) / 500
    assert 0.02 < share < 0.08, share


def test_figures_that_are_normal_one_by_one_and_odd_together_are_far_away() -> None:
    low, high = reference("valid_loss_1").prediction_interval()
    odd = joint_distance({"train_loss_2": reference("train_loss_2").mean, "valid_loss_1": high, "f1_1": 0.905})
    assert low < high
    assert odd is not None
    assert odd.p_value < 0.01
