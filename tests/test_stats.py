"""Statistics in closed form against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro.stats import f_tail, rank_correlation, t_quantile, t_tail

degrees = st.one_of(st.integers(1, 500), st.floats(1, 500))


@given(st.floats(-50, 50), st.floats(0, 1e3), degrees, st.integers(1, 30), st.floats(0.5, 0.9999))
def test_tails_and_quantiles_are_scipys(t: float, ratio: float, freedom: float, over: int, probability: float) -> None:
    assert t_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-9, abs=1e-14)
    assert f_tail(ratio, over, freedom) == pytest.approx(stats.f.sf(ratio, over, freedom), rel=1e-8, abs=1e-14)
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
