"""Which ticks a crontab has: with every change of clocks, each named time of a day comes once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.schedules import tick_id
from workflows.schedules.crontab import Crontab

BERLIN = "Europe/Berlin"


def _ticks(text: str, zone: str, first: str, last: str) -> list[str]:
    """The ticks between two times of UTC, the first of them left out."""
    crontab = Crontab(text, ZoneInfo(zone))
    ends = [datetime.fromisoformat(each).replace(tzinfo=UTC).timestamp() for each in (first, last)]
    found = list(crontab.ticks(*ends))
    assert found == sorted(set(found))
    return [f"{datetime.fromtimestamp(tick, UTC):%m-%d %H:%M}" for tick in found]


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("0 6 * * *", ["11-20 06:00", "11-21 06:00", "11-22 06:00"]),
        ("30 5,6 * * sun", ["11-22 05:30", "11-22 06:30"]),
        ("0 0 1 12 *", []),
        ("0 12 20-21 11 *", ["11-20 12:00", "11-21 12:00"]),
        ("0 12 20 * mon", []),  # both day fields must match, as in Celery
        ("0 12 20 * fri", ["11-20 12:00"]),
        ("*/30 23 22 * *", ["11-22 23:00", "11-22 23:30"]),
    ],
)
def test_the_fields_mean_what_they_mean_in_celery(text: str, ticks: list[str]) -> None:
    """From the morning of a Friday to the end of a Sunday."""
    assert _ticks(text, "UTC", "2026-11-20T03:00", "2026-11-22T23:59") == ticks


def test_a_tick_is_not_given_twice() -> None:
    """The start of a span is not part of it, its end is."""
    assert _ticks("* * * * *", "UTC", "2026-11-20T03:00", "2026-11-20T03:02") == ["11-20 03:01", "11-20 03:02"]


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("30 2 * * *", ["03-28 01:30", "03-29 01:30", "03-30 00:30"]),  # 02:30 is left out: 03:30 of that day
        ("30 2,3 * * *", ["03-28 01:30", "03-28 02:30", "03-29 01:30", "03-30 00:30", "03-30 01:30"]),
        ("0 3 * * *", ["03-28 02:00", "03-29 01:00", "03-30 01:00"]),
    ],
)
def test_clocks_are_set_forward(text: str, ticks: list[str]) -> None:
    """In the night to the 29th of March, 2026, at 01:00 UTC: a day without its tick would be a surprise."""
    assert _ticks(text, BERLIN, "2026-03-27T12:00", "2026-03-30T12:00") == ticks


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("30 2 * * *", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),  # 02:30 comes twice: the first counts
        ("0 3 * * *", ["10-24 01:00", "10-25 02:00", "10-26 02:00"]),
        ("*/30 2 25 * *", ["10-25 00:00", "10-25 00:30"]),
    ],
)
def test_clocks_are_set_back(text: str, ticks: list[str]) -> None:
    """In the night to the 25th of October, 2026, at 01:00 UTC: a second job would be worse than a surprise."""
    assert _ticks(text, BERLIN, "2026-10-23T12:00", "2026-10-26T12:00") == ticks


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_crontab_of_every_hour_follows_the_time_that_passes(day: str) -> None:
    """Every half hour stays every half hour; nothing is left out and nothing comes twice."""
    ticks = _ticks("*/30 * * * *", BERLIN, f"{day}T00:00", f"{day}T04:00")
    assert [tick[-5:] for tick in ticks] == [f"{n // 2:02}:{n % 2 * 30:02}" for n in range(1, 9)]


def test_a_zone_whose_clocks_change_by_half_an_hour() -> None:
    """At two o'clock it is half past two: a crontab of every hour has no tick for the hour that was left out."""
    ticks = _ticks("0 * * * *", "Australia/Lord_Howe", "2026-10-03T14:00", "2026-10-03T18:00")
    assert ticks == ["10-03 14:30", "10-03 16:00", "10-03 17:00", "10-03 18:00"]
    assert _ticks("0 2 * * *", "Australia/Lord_Howe", "2026-10-03T14:00", "2026-10-03T18:00") == ["10-03 15:30"]


def test_a_day_that_is_left_out() -> None:
    """Samoa had no 30th of December in 2011: its tick is on the next day, and nobody looks for it on the day before."""
    assert _ticks("0 6 30 12 *", "Pacific/Apia", "2011-12-30T15:00", "2011-12-30T17:00") == ["12-30 16:00"]


def test_a_zone_whose_clocks_change_at_midnight() -> None:
    """The day begins at one o'clock there: its midnight is not lost, and not given to the day before."""
    assert _ticks("0 0 * * *", "Africa/Cairo", "2026-04-23T00:00", "2026-04-25T00:00") == ["04-23 22:00", "04-24 21:00"]


@given(
    st.sampled_from(["0 2 * * *", "30 2 * * *", "15 0,23 * * *", "59 1-3 * * *", "0 0 * * *"]),
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata", "UTC"]),
    st.integers(2020, 2030),
)
def test_each_named_time_of_each_day_comes_once(text: str, zone: str, year: int) -> None:
    """Whatever clocks do in a year: as many ticks as days and times, or one less where two fall together."""
    crontab, own = Crontab(text, ZoneInfo(zone)), ZoneInfo(zone)
    start, end = datetime(year, 1, 1, tzinfo=own), datetime(year + 1, 1, 1, tzinfo=own)
    ticks = list(crontab.ticks(start.timestamp() - 1, end.timestamp() - 1))
    times = 24 if text.split()[1] == "*" else len(range(1, 4)) if "1-3" in text else text.split()[1].count(",") + 1
    days = (end.date() - start.date()).days
    assert days * times - 2 <= len(ticks) <= days * times
    assert ticks == sorted(set(ticks))
    by_day = {datetime.fromtimestamp(tick, own).date() for tick in ticks}
    assert len(by_day) == days


def test_the_next_tick_may_be_years_away() -> None:
    """The 29th of February; and of a day that never comes there is none, which is refused."""
    after = datetime(2096, 3, 1, tzinfo=UTC).timestamp()
    (leap,) = [Crontab("0 0 29 2 *", ZoneInfo("UTC")).next(after)]
    assert leap == datetime(2104, 2, 29, tzinfo=UTC).timestamp()  # 2100 is no leap year
    with pytest.raises(ValueError, match="never comes"):
        Crontab("0 0 31 2 *", ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "0 fields"),
        ("0 6 * *", "4 fields"),
        ("0 6 * * * *", "6 fields"),
        ("61 * * * *", "minute: '61'"),
        ("* 24 * * *", "hour: '24'"),
        ("* * 0 * *", "day_of_month: '0'"),
        ("* * * 13 *", "month_of_year: '13'"),
        ("* * * * noday", "day_of_week: 'noday'"),
        ("*/0 * * * *", "minute: '[*]/0'"),
        ("1,,2 * * * *", "minute: '1,,2'"),
    ],
)
def test_a_bad_crontab_names_its_field(text: str, told: str) -> None:
    """With what stands there, which is nobody's secret."""
    with pytest.raises(ValueError, match=told):
        Crontab(text, ZoneInfo("UTC"))


def test_the_id_follows_from_the_minute() -> None:
    """In UTC, whatever the zone of the schedule: two hours of the same name have two ids."""
    noon = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo(BERLIN))
    assert tick_id("nightly", noon.timestamp()) == "nightly.20261025T0030Z"
    assert tick_id("nightly", noon.replace(fold=1).timestamp()) == "nightly.20261025T0130Z"
    later = noon + timedelta(seconds=59.9)
    assert tick_id("nightly", later.timestamp()) == tick_id("nightly", noon.timestamp())
