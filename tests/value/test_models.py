"""The formulas against independent ones, and what must hold for every customer and parameter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import beta as beta_function
from scipy.special import betaln, gammaln, hyp2f1

from ritorno.value.models import BGNBD, MBGNBD, ORDER_MODELS, GammaGamma, ParetoNBD
from tests.support.examples import many

shape = st.floats(0.05, 8)
scale = st.floats(0.3, 40)
models = st.one_of(
    st.builds(BGNBD, shape, scale, shape, shape),
    st.builds(MBGNBD, shape, scale, shape, shape),
    st.builds(ParetoNBD, shape, scale, shape, scale),
)


@st.composite
def customer(draw, most=40):
    x = draw(st.integers(0, most))
    T = draw(st.floats(0.2, 300))  # noqa: N806
    t_x = T * draw(st.floats(0, 1)) if x else 0.0
    return x, min(t_x, T), T


def bg_likelihood(m, x, t_x, T):  # noqa: N803
    """Fader, Hardie & Lee 2005, equation (6), as printed."""
    start = math.exp(gammaln(m.r + x) - gammaln(m.r)) * m.alpha**m.r
    alive = beta_function(m.a, m.b + x) / beta_function(m.a, m.b) * start / (m.alpha + T) ** (m.r + x)
    if x == 0:
        return alive
    gone = beta_function(m.a + 1, m.b + x - 1) / beta_function(m.a, m.b) * start / (m.alpha + t_x) ** (m.r + x)
    return alive + gone


def mbg_likelihood(m, x, t_x, T):  # noqa: N803
    """Batislam et al. 2007, Appendix: the dropout chance is there at the first order too."""
    start = math.exp(gammaln(m.r + x) - gammaln(m.r)) * m.alpha**m.r
    alive = beta_function(m.a, m.b + x + 1) / beta_function(m.a, m.b) * start / (m.alpha + T) ** (m.r + x)
    gone = beta_function(m.a + 1, m.b + x) / beta_function(m.a, m.b) * start / (m.alpha + t_x) ** (m.r + x)
    return alive + gone


def pareto_likelihood(m, x, t_x, T):  # noqa: N803
    """Fader & Hardie 2005, "A note on deriving the Pareto/NBD model", with the two 2F1 forms of A0."""
    r, alpha, s, beta = m.r, m.alpha, m.s, m.beta
    top, low, second = max(alpha, beta), min(alpha, beta), (s + 1 if alpha >= beta else r + x)

    def part(t):
        return hyp2f1(r + s + x, second, r + s + x + 1, (top - low) / (top + t)) / (top + t) ** (r + s + x)

    a0 = part(t_x) - part(T)
    start = math.exp(gammaln(r + x) - gammaln(r)) * alpha**r * beta**s
    return start * (1 / ((alpha + T) ** (r + x) * (beta + T) ** s) + s / (r + s + x) * a0)


@settings(max_examples=many(150), deadline=None)
@given(models, customer(most=12))
def test_likelihoods_equal_the_papers_formulas(model, given_customer):
    x, t_x, T = given_customer  # noqa: N806
    likelihood = {"bg_nbd": bg_likelihood, "mbg_nbd": mbg_likelihood, "pareto_nbd": pareto_likelihood}[model.name]
    expected = likelihood(model, x, t_x, T)
    assume(expected > 1e-280)
    assert model.log_likelihood([x], [t_x], [T])[0] == pytest.approx(math.log(expected), rel=1e-7, abs=1e-7)


def test_expectations_equal_the_papers_2f1_formula():
    for a in (0.4, 0.793, 1.7, 3.0):
        for x, t_x, T, t in ((0, 0.0, 30.0, 26.0), (2, 30.43, 38.86, 39.0), (9, 20.0, 50.0, 52.0)):  # noqa: N806
            bg, mbg = BGNBD(0.243, 4.414, a, 2.426), MBGNBD(0.525, 6.183, a, 1.614)
            for model, n in ((bg, x), (mbg, x + 1)):
                r, alpha, b = model.r, model.alpha, model.b
                inner = hyp2f1(r + x, b + n, a + b + n - 1, t / (alpha + T + t))
                alive = (a + b + n - 1) / (a - 1) * (1 - ((alpha + T) / (alpha + T + t)) ** (r + x) * inner)
                odds = 0.0 if n == 0 else a / (b + n - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x)
                assert model.expected_orders([x], [t_x], [T], t)[0] == pytest.approx(alive / (1 + odds), rel=1e-9)


def test_pareto_expectation_equals_the_papers_formula():
    """Schmittlein et al. 1987, as in Fader & Hardie 2005: P(alive) times the mean of one who is."""
    for s in (0.3, 0.606, 2.5):
        model = ParetoNBD(0.553, 10.578, s, 11.669)
        r, alpha, beta, x, t_x, T, t = model.r, model.alpha, model.beta, 2, 30.43, 38.86, 39.0  # noqa: N806
        mean = (r + x) * (beta + T) / ((alpha + T) * (s - 1)) * (1 - ((beta + T) / (beta + T + t)) ** (s - 1))
        expected = model.p_alive([x], [t_x], [T])[0] * mean
        assert model.expected_orders([x], [t_x], [T], t)[0] == pytest.approx(expected, rel=1e-10)


beta_geometric = st.one_of(st.builds(BGNBD, shape, scale, shape, shape), st.builds(MBGNBD, shape, scale, shape, shape))


@settings(max_examples=many(25), deadline=None)
@example(BGNBD(5.0, 0.5, 1.0, 1.0), (16, 0.0, 0.5), 54.0)  # 0.2 % off with 32 nodes: found by CI
@given(beta_geometric, customer(most=300), st.floats(0.5, 110))
def test_expectations_equal_adaptive_integration_for_busy_customers_too(model, given_customer, t):
    """Within 1e-6, reached only where a horizon of years meets 300 orders in four weeks; usually within 1e-9."""
    x, _, T = given_customer  # noqa: N806
    n = x + (model.name == "mbg_nbd")

    def of_logit(v):
        p = 1 / (1 + math.exp(-v))
        density = -model.a * math.log1p(math.exp(-v)) - (model.b + n) * math.log1p(math.exp(v))
        left = -math.expm1(-(model.r + x) * math.log1p(p * t / (model.alpha + T))) / p
        return math.exp(density - betaln(model.a, model.b + n)) * left

    low, high = (
        quad(of_logit, -300, 0, limit=300, points=[-20, -5])[0],
        quad(of_logit, 0, 300, limit=300, points=[5])[0],
    )
    assert model.expected_orders_if_alive([x], [T], t)[0] == pytest.approx(low + high, rel=1e-6)


@settings(max_examples=many(40), deadline=None)
@given(st.builds(ParetoNBD, shape, scale, shape, scale), customer(most=300))
def test_pareto_integral_equals_adaptive_integration_for_busy_customers_too(model, given_customer):
    x, t_x, T = given_customer  # noqa: N806
    assume(T - t_x > 1e-6)
    r, alpha, s, beta = model.r, model.alpha, model.s, model.beta

    def f(t):
        return math.exp(
            -(r + x) * math.log((alpha + t) / (alpha + t_x)) - (s + 1) * math.log((beta + t) / (beta + t_x))
        )

    knots = sorted({min(T, t_x + k * (alpha + t_x) / (r + x)) for k in (0.1, 1, 5, 20)} - {t_x, T})
    integral = quad(f, t_x, T, points=knots or None, limit=400)[0]
    log_integral = math.log(integral) - (r + x) * math.log(alpha + t_x) - (s + 1) * math.log(beta + t_x)
    log_alive = -(r + x) * math.log(alpha + T) - s * math.log(beta + T)
    expected = 1 / (1 + math.exp(min(math.log(s) + log_integral - log_alive, 700)))
    assert model.p_alive([x], [t_x], [T])[0] == pytest.approx(expected, rel=1e-6, abs=1e-12)


@settings(max_examples=many(100), deadline=None)
@given(models, customer())
def test_slopes_are_those_of_the_likelihood(model, given_customer):
    x, t_x, T = (np.array([value]) for value in given_customer)  # noqa: N806
    slopes = model.log_likelihood_terms(x, t_x.astype(float), T)[1][:, 0]
    for number, value in enumerate(model.values):
        step = np.zeros(4)
        step[number] = value * 1e-5
        above, below = (
            type(model).of(model.values + sign * step).log_likelihood(x, t_x, T)[0] for sign in (1, -1)
        )  # fmt: skip
        assert slopes[number] == pytest.approx((above - below) / (2 * step[number]), rel=1e-3, abs=1e-4)


@settings(max_examples=many(150), deadline=None)
@given(models, customer())
def test_p_alive_is_a_probability_and_grows_with_recency(model, given_customer):
    x, _, T = given_customer  # noqa: N806
    last = np.linspace(0, T, 7) if x else np.zeros(7)
    alive = model.p_alive(np.full(7, x), last, np.full(7, T))
    assert ((alive >= 0) & (alive <= 1)).all()
    assert (np.diff(alive) >= -1e-12).all()


def test_bg_nbd_calls_every_one_time_buyer_alive_for_ever_and_mbg_nbd_does_not():
    # the trap of METRICS.md: after 20 years of silence, still 1
    assert BGNBD(0.243, 4.414, 0.793, 2.426).p_alive([0, 0], [0, 0], [10, 1040]).tolist() == [1.0, 1.0]
    soon, late = MBGNBD(0.525, 6.183, 0.891, 1.614).p_alive([0, 0], [0, 0], [10, 1040])
    assert late < 0.2 < soon < 1


@settings(max_examples=many(150), deadline=None)
@given(models, customer())
def test_expected_orders_grow_with_the_horizon_and_stay_below_those_of_one_who_cannot_leave(model, given_customer):
    x, t_x, T = given_customer  # noqa: N806
    horizons = [0.0, 1.0, 13.0, 52.0, 200.0]
    expected = [model.expected_orders([x], [t_x], [T], t)[0] for t in horizons]
    assert expected[0] == 0
    assert (np.diff(expected) >= -1e-12).all()
    for t, orders in zip(horizons, expected, strict=True):
        assert orders <= (model.r + x) / (model.alpha + T) * t * (1 + 1e-9)


@settings(max_examples=many(100), deadline=None)
@given(models, customer(), st.floats(0.1, 60))
def test_the_chance_of_an_order_is_a_probability_no_greater_than_the_expected_number(model, given_customer, t):
    x, t_x, T = given_customer  # noqa: N806
    chance = model.probability_of_order([x], [t_x], [T], t)[0]
    assert 0 <= chance <= 1
    assert chance <= model.expected_orders([x], [t_x], [T], t)[0] * (1 + 1e-3) + 1e-9


@settings(max_examples=many(100), deadline=None)
@given(models, customer(), st.floats(0.0, 0.5))
def test_discounting_takes_off_no_more_than_a_whole_horizon_at_the_rate(model, given_customer, rate):
    x, _, T = given_customer  # noqa: N806
    plain = model.expected_orders_if_alive([x], [T], 365 / 7)[0]
    discounted = model.discounted_orders_if_alive([x], [T], 365 / 7, rate)[0]
    assert plain / (1 + rate) * (1 - 1e-9) <= discounted <= plain * (1 + 1e-9)


def test_discounting_equals_a_sum_over_days():
    for model in (MBGNBD(0.525, 6.183, 0.891, 1.614), ParetoNBD(0.553, 10.578, 0.606, 11.669)):
        up_to = np.array([model.expected_orders_if_alive([3], [40.0], day / 7)[0] for day in range(366)])
        by_day = np.diff(up_to) * 1.1 ** (-(np.arange(365) + 0.5) / 365)
        got = model.discounted_orders_if_alive([3], [40.0], 365 / 7, 0.1)[0]
        assert got == pytest.approx(by_day.sum(), rel=1e-6)


@settings(max_examples=many(60), deadline=None)
@given(models, customer())
def test_quantiles_of_the_next_order_invert_its_distribution(model, given_customer):
    x, _, T = given_customer  # noqa: N806
    assume(model.r + x > 0.3)
    weeks = model.next_order_quantiles([x], [T], [0.1, 0.5, 0.9])[:, 0]
    assert (np.diff(weeks) > 0).all()
    ever = 1.0
    if model.name == "pareto_nbd":  # of those who order again before leaving
        ever = model.next_order_cdf_if_alive([x], [T], 1e13)[0]
    reached = model.next_order_cdf_if_alive([x] * 3, [T] * 3, weeks) / ever
    assert reached == pytest.approx([0.1, 0.5, 0.9], abs=0.01)


def test_near_a_of_one_and_s_of_one_nothing_jumps():
    around = [1 - 1e-6, 1.0, 1 + 1e-6]
    for values in (
        [MBGNBD(0.5, 6, a, 1.6).expected_orders([2], [20], [30], 52)[0] for a in around],
        [ParetoNBD(0.5, 10, s, 12).expected_orders([2], [20], [30], 52)[0] for s in around],
    ):
        assert values == pytest.approx([values[1]] * 3, rel=1e-5)


def test_ten_thousand_orders_are_no_problem():
    for name, model in ORDER_MODELS.items():
        some = model.of([0.5, 5, 1.0, 3])
        for result in (
            some.log_likelihood([10_000], [200], [201]),
            some.p_alive([10_000], [200], [201]),
            some.expected_orders([10_000], [200], [201], 52),
            some.next_order_quantiles([10_000], [201], [0.1, 0.9]),
        ):
            assert np.isfinite(result).all(), name


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (([-1], [0], [1]), "whole numbers"),
        (([1.5], [0], [1]), "whole numbers"),
        (([1], [2], [1]), "t_x ≤ T"),
        (([1], [0], [np.inf]), "t_x ≤ T"),
        (([0], [1], [2]), "t_x must be 0"),
        (([1, 2], [0], [1]), "equally long"),
    ],
)
def test_impossible_histories_are_refused(row, says):
    with pytest.raises(ValueError, match=says):
        MBGNBD(1, 1, 1, 1).log_likelihood(*row)


def test_parameters_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        MBGNBD(1, 1, 0, 1)


def test_expected_spend_lies_between_the_customers_own_mean_and_everybodys():
    model = GammaGamma(6.25, 3.74, 15.45)
    everybody = model.p * model.v / (model.q - 1)
    one, some, many = model.expected_spend([1, 10, 1000], [100.0, 100.0, 100.0])
    assert everybody < one < some < many < 100
    assert many == pytest.approx(100, rel=0.01)
    assert model.expected_spend([0, 0], [np.nan, 5.0]) == pytest.approx([everybody] * 2)
    with pytest.raises(ValueError, match="infinite"):
        GammaGamma(2, 0.9, 10).expected_spend([0], [np.nan])
