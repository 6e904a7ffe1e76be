"""Which ticks a crontab has, and the id of the job of each. Pure: nothing here knows what time it is.

The five fields are read by Celery's own `crontab`, and mean what they mean there: both day fields must match.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from celery import schedules

#: As they stand in a line, and as Celery names them.
_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
_DAY = 86400
#: The 29th of February may be eight years away; what does not come until then never comes.
_NEVER = (8 * 366 + 1) * _DAY


def tick_id(name: str, tick: float) -> str:
    """The id of the job that a schedule starts at a tick: `nightly.20261122T0300Z`.

    Args:
        name: of the schedule.
        tick: its time, seconds since the epoch; of these the minute counts, in UTC.
    """
    return f"{name}.{datetime.fromtimestamp(tick, UTC):%Y%m%dT%H%MZ}"


class Crontab:
    """The ticks of a crontab in a time zone.

    When clocks change, a crontab that names hours keeps one tick for each time of the day that it names: one that is
    left out is taken by the clock before the change (02:30 becomes 03:30), and one that comes twice counts the first
    time. A crontab of every hour follows the time that passes.

    Args:
        text: minute, hour, day of the month, month, day of the week.
        zone: in which it is read.

    Raises:
        ValueError: it is no crontab, or has no ticks; the message names the field.
    """

    def __init__(self, text: str, zone: ZoneInfo) -> None:
        parts = text.split()
        if len(parts) != len(_FIELDS):
            raise ValueError(f"has {len(parts)} fields: write minute, hour, day of month, month, day of week")
        read: dict[str, set[int]] = {}
        for field, part in zip(_FIELDS, parts, strict=True):
            try:
                read[field] = getattr(schedules.crontab(**{field: part}), field)
            except (ValueError, schedules.ParseException) as error:
                raise ValueError(f"{field}: {part!r} is not of a crontab ({str(error).rstrip('.')})") from None
        self._zone = zone
        self._months, self._days, self._weekdays = read["month_of_year"], read["day_of_month"], read["day_of_week"]
        self._times = [time(hour, minute) for hour in sorted(read["hour"]) for minute in sorted(read["minute"])]
        self._every_hour = len(read["hour"]) == 24
        if self.next(0.0) is None:
            raise ValueError("never comes: there is no such day")

    def ticks(self, after: float, until: float) -> Iterator[int]:
        """The ticks after a time and until another, that one included; seconds since the epoch, the first one first."""
        # A time that clocks leave out may become one of the next day.
        day = datetime.fromtimestamp(after, self._zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(until, self._zone).date()
        while day <= last:
            if self._on(day):
                yield from (tick for tick in self._of(day) if after < tick <= until)
            day += timedelta(days=1)

    def next(self, after: float) -> int | None:
        """The first tick after a time; none if there is none in eight years."""
        return next(self.ticks(after, after + _NEVER), None)

    def _on(self, day: date) -> bool:
        weekday = day.isoweekday() % 7  # Sunday is 0
        return day.month in self._months and day.day in self._days and weekday in self._weekdays

    def _of(self, day: date) -> list[int]:
        found: set[int] = set()
        for at in self._times:
            first, second = (
                int(datetime.combine(day, at.replace(fold=fold), self._zone).timestamp()) for fold in (0, 1)
            )
            if first <= second:  # it comes once; or twice, when clocks are set back
                found |= {first, second} if self._every_hour else {first}
            elif not self._every_hour:  # clocks leave it out
                found.add(first)
        return sorted(found)
