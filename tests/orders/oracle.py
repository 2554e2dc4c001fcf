"""Valid orders and money once more, in plain Python from METRICS.md: what the SQL is held against.

Exact fractions, one order at a time, no sharing of code or shape with the models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Raw = Mapping[str, Sequence[Row]]

INVALID = {"cancelled", "canceled", "void", "voided", "failed", "fraud", "draft", "deleted"}
ENDS = {"cancelled", "canceled", "void", "voided", "deleted"}


@dataclass(frozen=True)
class Policy:
    """The policy of one run."""

    as_of: date
    reporting_currency: str = "EUR"
    business_timezone: str = "Europe/Berlin"
    prices_include_tax: bool = False
    count_zero_orders: bool = True
    count_refunds: bool = True
    fx_max_age_days: int = 7


@dataclass
class Order:
    """What became of an order."""

    outcome: str
    reason: str | None
    order_date: date
    rate: Fraction | None = None
    net_before: int = 0
    refund_base: Fraction | None = None
    gross: int = 0
    discount: int = 0
    tax_inside: int = 0
    lines: list[tuple[str, Fraction]] = field(default_factory=list)


@dataclass
class Result:
    """Everything the models say, in cents."""

    orders: dict[str, tuple[str, str | None]]
    net: dict[str, int]
    refunded: dict[str, int]
    items: dict[str, int]
    refunds: dict[str, tuple[str, str | None, int | None]]


def local_day(text: str, zone: str) -> date:
    """The calendar day of an instant in a zone; without an offset it is UTC."""
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(ZoneInfo(zone)).date()


def number(value: Any) -> Fraction:
    """A raw decimal, absent is 0."""
    return Fraction(str(value)) if value is not None else Fraction(0)


def to_cents(value: Fraction) -> int:
    """Half away from zero."""
    cents = int((abs(value) * 200 + 1) // 2)
    return cents if value >= 0 else -cents


def largest_remainder(total: int, weights: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Cents spread over keys by weights ≥ 0; the remaining cents go to the largest remainders, ties by key."""
    positive = [(key, max(weight, 0)) for key, weight in weights]
    whole = sum(weight for _, weight in positive)
    if whole == 0:
        positive, whole = [(key, 1) for key, _ in positive], len(positive)
    shares = {key: abs(total) * weight // whole for key, weight in positive}
    rest = sorted(positive, key=lambda pair: (-(abs(total) * pair[1] % whole), pair[0]))
    for key, _ in rest[: abs(total) - sum(shares.values())]:
        shares[key] += 1
    return {key: share if total >= 0 else -share for key, share in shares.items()}


def rate_on(raw: Raw, currency: str, day: date, policy: Policy) -> Fraction | None:
    """The latest rate on or before the day, not too old; the pair before its inverse on the same day."""
    if currency == policy.reporting_currency:
        return Fraction(1)
    best: tuple[date, int, Fraction] | None = None
    for row in raw.get("exchange_rates", ()):
        quoted = date.fromisoformat(row["date"])
        if not 0 <= (day - quoted).days <= policy.fx_max_age_days:
            continue
        pair = (row["from_currency"], row["to_currency"])
        value = Fraction(str(row["rate"]))
        if pair == (currency, policy.reporting_currency):
            candidate = (quoted, 1, value)
        elif pair == (policy.reporting_currency, currency):
            candidate = (quoted, 0, Fraction(round(1 / value * 10**10), 10**10))
        else:
            continue
        if best is None or candidate[:2] > best[:2]:
            best = candidate
    return best[2] if best else None


def _paid(raw: Raw, order_id: str, policy: Policy) -> bool:
    rows = [
        row
        for row in raw.get("payments", ())
        if row["order_id"] == order_id and local_day(row["paid_at"], policy.business_timezone) <= policy.as_of
    ]
    return not rows or any(
        number(row["amount"]) > 0
        and row.get("kind") in (None, "sale", "capture")
        and row.get("status") in (None, "success")
        for row in rows
    )


def _exclusion(
    row: Row, charged: Fraction | None, lines: Sequence[Row], paid: bool, policy: Policy, zone: str
) -> str | None:
    def happened(column: str) -> bool | None:
        return None if not row.get(column) else local_day(row[column], zone) <= policy.as_of

    if row.get("deleted_at") and local_day(row["deleted_at"], policy.business_timezone) <= policy.as_of:
        return "deleted"
    if row.get("is_test"):
        return "test"
    status = (row.get("status") or "").strip().lower()
    if status in ENDS and (happened("cancelled_at") is False or happened("deleted_at") is False):
        status = ""
    if happened("cancelled_at") or status in ("cancelled", "canceled"):
        return "cancelled"
    if status in INVALID:
        return "invalid_status"
    total = row.get("total")
    if (total is not None and number(total) < 0) or (charged is not None and charged < 0):
        return "negative_total"
    if lines and all(number(line["quantity"]) <= 0 for line in lines):
        return "no_positive_quantity"
    if not paid:
        return "unpaid"
    if not policy.count_zero_orders and charged == 0:
        return "zero_total"
    return None


def _order(raw: Raw, row: Row, policy: Policy) -> Order:
    zone = row.get("store_timezone") or policy.business_timezone
    day = local_day(row["ordered_at"], zone)
    if day > policy.as_of:
        return Order("after_as_of", None, day)
    lines = [line for line in raw.get("order_items", ()) if line["order_id"] == row["order_id"]]
    values = [
        (
            f"files:{line['order_item_id']}",
            number(line["quantity"]) * number(line["unit_price"]) - number(line.get("discount")),
        )
        for line in lines
    ]
    discount, tax, shipping = (number(row.get(name)) for name in ("discount", "tax", "shipping"))
    total = number(row["total"]) if row.get("total") is not None else None
    items = sum((value for _, value in values), Fraction(0))
    inside = tax if policy.prices_include_tax and lines else Fraction(0)
    by_lines = items - discount + shipping + (0 if policy.prices_include_tax else tax) if lines else None
    charged = total
    if by_lines is not None and (total is None or abs(total - by_lines) > Fraction(1, 100)):
        charged = by_lines
    reason = _exclusion(row, charged, lines, _paid(raw, row["order_id"], policy), policy, zone)
    if reason:
        return Order("excluded", reason, day)
    if total is None and not lines:
        return Order("quarantined", "no_total_and_no_lines", day)
    rate = rate_on(raw, row.get("currency") or policy.reporting_currency, day, policy)
    if rate is None:
        return Order("quarantined", "no_exchange_rate", day)
    net = items - discount - inside if lines else (total or Fraction(0)) - tax - shipping
    base = total if total is not None and total > 0 else charged if charged is not None and charged > 0 else None
    order = Order("valid", None, day, rate, to_cents(net * rate), base, lines=values)
    order.gross, order.tax_inside = to_cents(items * rate), to_cents(inside * rate)
    order.discount = order.gross - order.tax_inside - order.net_before
    return order


def _refund_reason(row: Row, orders: Mapping[str, Order], rate: Fraction | None) -> tuple[str, str | None]:
    if not row.get("order_id"):
        return ("counts", None) if rate is not None else ("quarantined", "no_exchange_rate")
    order = orders.get(row["order_id"])
    if order is None:
        return "not_counted", "order_unknown"
    if order.outcome == "valid":
        return "counts", None
    return "not_counted", f"order_{order.outcome}"


def _spread(order: Order, refunds: Sequence[tuple[Row, int]]) -> dict[str, int]:
    exact = [(key, value * order.rate * 100) for key, value in order.lines if order.rate is not None]
    left = {key: int(value // 1) for key, value in exact}
    by_rest = sorted(exact, key=lambda pair: (-(pair[1] % 1), pair[0]))
    for key, _ in by_rest[: order.gross - sum(left.values())]:
        left[key] += 1
    weights = list(left.items())
    for amount in (order.discount, order.tax_inside):
        for key, share in largest_remainder(amount, weights).items():
            left[key] -= share
    whole = 0
    for row, amount in refunds:
        key = f"files:{row.get('order_item_id')}"
        if key in left:
            left[key] -= amount
        else:
            whole += amount
    for key, share in largest_remainder(whole, list(left.items())).items():
        left[key] -= share
    return left


def evaluate(raw: Raw, policy: Policy) -> Result:
    """All orders, lines and refunds of distinct keys."""
    orders = {row["order_id"]: _order(raw, row, policy) for row in raw["orders"]}
    refunds: dict[str, tuple[str, str | None, int | None]] = {}
    of_order: dict[str, list[tuple[Row, int]]] = {}
    running: dict[str, Fraction] = {}
    for row in sorted(raw.get("refunds", ()), key=lambda row: (row["refunded_at"], row["refund_id"])):
        key, amount = row["refund_id"], number(row["amount"])
        day = local_day(row["refunded_at"], policy.business_timezone)
        if day > policy.as_of:
            refunds[key] = ("after_as_of", None, None)
            continue
        if not policy.count_refunds:
            refunds[key] = ("not_counted", "refunds_ignored", None)
            continue
        rate = rate_on(raw, row.get("currency") or policy.reporting_currency, day, policy)
        outcome, reason = _refund_reason(row, orders, rate)
        cents = None
        if outcome == "counts" and not row.get("order_id"):
            cents = to_cents(amount * (rate or 0))
        elif outcome == "counts":
            order = orders[row["order_id"]]
            before = running.get(row["order_id"], Fraction(0))
            running[row["order_id"]] = before + amount

            def part(value: Fraction, order: Order = order) -> int:
                if order.refund_base is None:
                    return to_cents(value * (order.rate or 0))
                return to_cents(value * Fraction(order.net_before, 100) / order.refund_base)

            cents = part(before + amount) - part(before)
            of_order.setdefault(row["order_id"], []).append((row, cents))
        refunds[key] = (outcome, reason, cents)
    valid = {key: order for key, order in orders.items() if order.outcome == "valid"}
    refunded = {key: sum(cents for _, cents in of_order.get(key, ())) for key in valid}
    items: dict[str, int] = {}
    for key, order in valid.items():
        items.update(_spread(order, of_order.get(key, ())))
    return Result(
        orders={key: (order.outcome, order.reason) for key, order in orders.items()},
        net={key: order.net_before - refunded[key] for key, order in valid.items()},
        refunded=refunded,
        items=items,
        refunds=refunds,
    )
