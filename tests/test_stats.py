"""Statistics in closed form against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro.stats import f_tail, rank_correlation, t_quantile, t_tail

degrees = st.one_of(st.integers(1, 500), st.floats(1, 500))


@given(st.floats(-50, 50), degrees)
def test_tails_of_t_are_scipys(t: float, freedom: float) -> None:
    assert t_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-9, abs=1e-14)


@given(st.floats(0, 1e3), st.integers(1, 30), st.integers(1, 300))
def test_tails_of_f_are_scipys(ratio: float, first: int, second: int) -> None:
    assert f_tail(ratio, first, second) == pytest.approx(stats.f.sf(ratio, first, second), rel=1e-8, abs=1e-14)


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.975, 0.995, 0.9999])
@pytest.mark.parametrize("freedom", [1, 2, 3, 7.5, 96, 1000])
def test_quantiles_of_t_are_scipys(probability: float, freedom: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-9, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=4, max_size=40))
def test_rank_correlations_with_ties_are_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = ([float(p[i]) for p in pairs] for i in (0, 1))
    if len(set(first)) > 1 and len(set(second)) > 1:
        expected = stats.spearmanr(first, second)
        assert rank_correlation(first, second) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-6)


def test_a_quantile_below_one_half_is_refused() -> None:
    with pytest.raises(ValueError, match="degree of freedom"):
        t_quantile(0.3, 5)
