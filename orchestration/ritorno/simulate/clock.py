"""The simulated time: the span, its seasons, hours of the day and time zones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ritorno.simulate.columns import NEVER, Floats, Ints

DAY = 86_400
ZONES = ("Europe/Berlin", "Europe/London", "America/New_York")
"""Zone 0 is the business's."""

_MONTH = np.array([0.95, 0.88, 0.95, 0.97, 1.0, 0.95, 0.88, 0.85, 0.98, 1.02, 1.32, 1.35])
_WEEKDAY = np.array([1.02, 0.98, 0.97, 1.0, 1.05, 1.08, 0.95])  # Monday first
_HOUR = np.array([1.2, 0.7, 0.3, 0.2, 0.2, 0.4, 1, 2, 3, 4, 5, 5.5, 6, 5.5, 5, 5, 5.5, 6, 7, 8, 8.5, 7.5, 5, 2.5])


@dataclass(frozen=True)
class Clock:
    """Calendar of the simulated span; day 0 is its first, `days` its number of days."""

    end: date
    years: float

    @cached_property
    def days(self) -> int:
        """Number of days simulated, `end` included."""
        return max(2, round(365.25 * self.years))

    @cached_property
    def first_day(self) -> int:
        """Day 0 in days since 1970."""
        return (self.end - date(1970, 1, 1)).days - self.days + 1

    @cached_property
    def dates(self) -> npt.NDArray[np.datetime64]:
        """The calendar dates."""
        return np.arange(self.first_day, self.first_day + self.days).astype("datetime64[D]")

    @cached_property
    def last(self) -> int:
        """The last second of `end` in the business time zone."""
        close = datetime.combine(self.end + timedelta(days=1), datetime.min.time(), ZoneInfo(ZONES[0]))
        return int(close.timestamp()) - 1

    @cached_property
    def season(self) -> Floats:
        """Cumulative demand at the start of each day (and at the end of the last), 1 per day on average.

        It is the operational clock in which buying is a homogeneous process: the model of the truth holds in it.
        """
        month = self.dates.astype("datetime64[M]").astype(int) % 12
        weekday = (np.arange(self.days) + self.first_day + 3) % 7
        demand = _MONTH[month] * _WEEKDAY[weekday]
        return np.concatenate([[0.0], np.cumsum(demand) * (self.days / demand.sum())])

    @cached_property
    def _offsets(self) -> npt.NDArray[np.int64]:
        """Seconds east of UTC by zone and day, at local noon."""
        noons = [datetime.combine(day, datetime.min.time()) + timedelta(hours=12) for day in self.dates.tolist()]
        return np.array(
            [
                [int((n.replace(tzinfo=ZoneInfo(z)).utcoffset() or timedelta()).total_seconds()) for n in noons]
                for z in ZONES
            ],
            dtype=np.int64,
        )

    def operational(self, day: Floats) -> Floats:
        """Calendar days (with fractions) to operational time."""
        return np.asarray(np.interp(day, np.arange(self.days + 1.0), self.season), dtype=np.float64)

    def calendar(self, time: Floats) -> Floats:
        """Operational time back to calendar days."""
        return np.asarray(np.interp(time, self.season, np.arange(self.days + 1.0)), dtype=np.float64)

    def at(self, rng: np.random.Generator, day: npt.NDArray[np.int64], zone: npt.NDArray[np.int64]) -> Ints:
        """Instants on the given local days, at a believable hour, never after the span's end."""
        share = np.cumsum(_HOUR) / _HOUR.sum()
        hour = np.minimum(np.searchsorted(share, rng.random(len(day))), 23)
        second = hour * 3600 + rng.integers(0, 3600, len(day))
        local = (day + self.first_day) * DAY + second
        instant: Ints = np.minimum(local - self._offsets[zone, np.clip(day, 0, self.days - 1)], self.last)
        return instant

    def until_now(self, instant: Ints) -> Ints:
        """The instants, NEVER where they lie after the end."""
        return np.where(instant > self.last, NEVER, instant)

    @cached_property
    def months(self) -> list[str]:
        """The months of the span as YYYY-MM."""
        return [
            str(m) for m in np.arange(self.dates[0].astype("datetime64[M]"), self.dates[-1].astype("datetime64[M]") + 1)
        ]

    def month_of(self, instant: Ints) -> Ints:
        """Index into `months` of the UTC month of instants, kept within the span."""
        first = int(self.dates[0].astype("datetime64[M]").astype(int))
        month = instant.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) - first
        return np.clip(month, 0, len(self.months) - 1)
