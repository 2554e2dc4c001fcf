"""The fits agree with lifetimes 0.11.3, whose answers are kept beside (benchmarks/peers has the how)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.lifetimes_data import CUSTOMERS, shop
from ritorno.value.fit import Statistics, fit_orders, fit_spend
from ritorno.value.models import ORDER_MODELS

LIFETIMES: dict[str, Any] = json.loads(Path(__file__).with_name("lifetimes_0.11.3.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(ORDER_MODELS))
def test_parameters_and_predictions_are_those_of_lifetimes(name: str) -> None:
    """To 1e-3: its optimiser stops a little earlier, 2e-4 away for Pareto/NBD and 3e-6 for the others."""
    data, theirs = shop(), LIFETIMES[name]
    assert data.x.size == LIFETIMES["customers"]
    model = fit_orders(ORDER_MODELS[name], Statistics.of(data.x, data.t_x, data.T)).usable
    assert model is not None
    assert list(model.values) == pytest.approx(theirs["parameters"], rel=1e-3)
    x, t_x, end = (list(column) for column in zip(*CUSTOMERS, strict=True))
    assert list(model.expected_orders(x, t_x, end, 39)) == pytest.approx(theirs["expected_39_weeks"], rel=1e-3)
    assert list(model.p_alive(x, t_x, end)) == pytest.approx(theirs["p_alive"], rel=1e-3)


def test_gamma_gamma_and_its_expected_spend_are_those_of_lifetimes() -> None:
    data, theirs = shop(), LIFETIMES["gamma_gamma"]
    model = fit_spend(data.x, data.mean_spend).usable
    assert model is not None
    assert [model.p, model.q, model.v] == pytest.approx(theirs["parameters"], rel=1e-3)
    again = data.x > 0
    expected = model.expected_spend(data.x[again][:5], data.mean_spend[again][:5])
    assert list(expected) == pytest.approx(theirs["expected_spend"], rel=1e-4)
