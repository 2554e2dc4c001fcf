"""Numbers as people read them. `assets/report.js` shows tables by the same rules."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from ritorno.report.figures import Kind

NOTHING = "–"
SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$", "CHF": "CHF ", "JPY": "¥"}


def symbol(currency: str | None) -> str:
    """What stands before an amount: a symbol that is understood everywhere, else the ISO code."""
    return SYMBOLS.get(currency, f"{currency} ") if currency else ""


def shown(value: Any, kind: Kind, currency: str | None = None) -> str:  # noqa: ANN401  a cell of any type
    """A value in words: `1,234`, `33.7%`, `€1,234.56`, `2026-06-30`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if kind == "percent":
        return f"{_rounded(value * 100, 1)}%"
    if kind == "money":
        text = _rounded(value, 2)
        return f"−{symbol(currency)}{text[1:]}" if text.startswith("-") else f"{symbol(currency)}{text}"
    if kind == "int":
        return _rounded(value, 0).replace("-", "−")
    if kind == "number":
        return _rounded(value, 2).replace("-", "−")
    if kind == "month":
        return str(value)[:7]
    if kind == "yes_no":
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return value.isoformat() if isinstance(value, date) else str(value)


def compact(value: Any, kind: Kind, currency: str | None = None) -> str:  # noqa: ANN401
    """A key number: money from 10,000 on without cents."""
    if kind == "money" and value is not None and abs(value) >= 10_000:
        text = _rounded(value, 0)
        return f"−{symbol(currency)}{text[1:]}" if text.startswith("-") else f"{symbol(currency)}{text}"
    return shown(value, kind, currency)


def change(value: float, kind: Literal["percent", "points", "difference"]) -> str:
    """A change with its sign: `+4.2%`, `−1.3 points`, `+12`."""
    if kind == "points":
        text = f"{_rounded(abs(value) * 100, 1)} points"
    elif kind == "difference":
        text = _rounded(abs(value), 0 if float(value).is_integer() else 1)
    else:
        text = f"{_rounded(abs(value) * 100, 1)}%"
    return f"{'+' if value > 0 else '−' if value < 0 else '±'}{text}"


def relative_change(now: Any, before: Any) -> float | None:  # noqa: ANN401
    """now / before − 1; None without something to compare with."""
    if now is None or not before:
        return None
    return float(now) / float(before) - 1


def _rounded(value: Any, digits: int) -> str:  # noqa: ANN401
    number = value if isinstance(value, Decimal) else Decimal(repr(value) if isinstance(value, float) else str(value))
    rounded = number.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded if rounded else abs(rounded):,}"
