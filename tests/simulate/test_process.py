"""The buying process is the one the truth names: MBG/NBD in the operational clock."""

from datetime import date

import numpy as np
import pytest

from ritorno.simulate import people, purchases
from ritorno.simulate.clock import DAY, Clock
from ritorno.simulate.columns import NEVER
from ritorno.simulate.shop import make_shop


@pytest.fixture(scope="module")
def drawn():
    shop = make_shop(1, Clock(date(2026, 3, 31), 3), 40_000)
    rng = np.random.default_rng(8)
    persons = people.make_people(rng, shop, 0, 40_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            purchases, "_care", lambda rng, people, found: found
        )  # tickets make people leave: not the process
        found = purchases.organic(rng, shop, persons)
    return shop, persons, found


def test_repeat_orders_are_as_many_as_the_parameters_imply(drawn):
    shop, persons, found = drawn
    made = np.bincount(found.person, minlength=persons.n)
    room = shop.clock.season[-1] - shop.clock.operational(persons.start)
    rate, p = persons.rate / 7, persons.dropout
    # MBG: leaving with probability p after every order, the first included, is an exponential life of rate λp
    expected = (1 - p) / p * -np.expm1(-rate * p * room)
    buys = persons.buys
    assert (made[~buys] == 0).all()
    assert (made[buys] >= 1).all()
    for group in (persons.role == people.B2B, persons.role == people.BUYER, persons.role == people.GUEST):
        assert (made[group] - 1).sum() == pytest.approx(expected[group].sum(), rel=0.06)


def test_buyers_leave_as_often_as_the_parameters_imply(drawn):
    shop, persons, found = drawn
    room = shop.clock.season[-1] - shop.clock.operational(persons.start)
    gone = found.left_at != NEVER
    expected = 1 - (1 - persons.dropout) * np.exp(-persons.rate / 7 * persons.dropout * room)
    assert gone[persons.buys].mean() == pytest.approx(expected[persons.buys].mean(), abs=0.01)


def test_whoever_left_left_with_the_last_order(drawn):
    _, persons, found = drawn
    last = np.full(persons.n, NEVER)
    np.maximum.at(last, found.person, found.instant)
    gone = found.left_at != NEVER
    assert (found.left_at[gone] == last[gone]).all()


def test_parameters_come_from_the_stated_distributions(drawn):
    _, persons, _ = drawn
    for kind, group in (("b2c", (persons.role != people.B2B)), ("b2b", persons.is_b2b)):
        process = people.PROCESS[kind]
        assert persons.rate[group].mean() == pytest.approx(process["r"] / process["alpha"], rel=0.05)
        assert persons.dropout[group].mean() == pytest.approx(process["a"] / (process["a"] + process["b"]), rel=0.05)


def test_the_operational_clock_runs_once_a_day_on_average_and_back(drawn):
    clock = drawn[0].clock
    assert clock.season[-1] == pytest.approx(clock.days)
    days = np.linspace(0, clock.days, 50)
    assert clock.calendar(clock.operational(days)) == pytest.approx(days)


@pytest.mark.parametrize(
    ("day", "zone", "offset"),
    [("2026-03-28", 0, 1), ("2026-03-29", 0, 2), ("2026-03-10", 2, -4), ("2026-03-07", 2, -5), ("2026-03-29", 1, 1)],
)
def test_local_days_are_the_zones_own(day, zone, offset):
    clock = Clock(date(2026, 3, 31), 1)
    number = np.full(500, int(np.datetime64(day).astype(int)) - clock.first_day)
    instant = clock.at(np.random.default_rng(1), number, np.full(500, zone))
    assert set((instant + offset * 3600) // DAY - clock.first_day) == {number[0]}
