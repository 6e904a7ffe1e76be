"""Unique Tokens: `ended` means data, `finished` means snapshot; the body decides whether a milestone is reached."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.artifacts import DigestRule
from providers.base import Verdict
from providers.errors import (
    LostAnswer,
)

from .bench import PRODUCE, Bench, finished, go, until
from .unique_tokens import observed, record

# --- `ended` means data, `finished` means snapshot -----------------------------------------------------------------


def test_data_is_fetched_at_ended_and_the_snapshot_is_waited_for(bench: Bench) -> None:
    """Whoever needs only the tokens does not wait for `finished`; whoever needs the snapshot does."""
    bench.sim.set_switches("unique_tokens", finish_seconds=60)
    bench.sim.plan("unique_tokens", PRODUCE.reference, duration=10)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            bench.clock.advance(11)
            seen = await trip.observe()
            assert (seen.verdict, seen.word) == (Verdict.SUCCEEDED, "ended")
            assert [artifact.name for artifact in seen.artifacts] == ["tokens.txt"]
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "snapshot": True}) as trip:
            await trip.submit()
            bench.clock.advance(11)
            seen = await trip.observe()
            assert (seen.verdict, seen.word, seen.artifacts) == (Verdict.RUNNING, "ended", ())
            bench.clock.advance(60)
            seen = await trip.observe()
            assert (seen.verdict, seen.word) == (Verdict.SUCCEEDED, "finished")
            assert [artifact.name for artifact in seen.artifacts] == ["tokens.txt", "snapshot.blob"]
            blob, rule = await trip.fetch(seen.artifacts[1])
            assert len(blob) == 14_720
            assert rule is DigestRule.SEED_BEFORE

    go(check())


def test_a_used_up_line_never_gets_a_snapshot(bench: Bench) -> None:
    """`partial: false`: waiting for the link would be waiting for ever."""
    body = {**bench.body(PRODUCE), "alphabet": "DICE", "digits": 5, "size": 7776, "snapshot": True}

    async def check() -> None:
        async with bench.trip(PRODUCE, body) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            assert last.result["partial"] is False
            content, _ = await trip.fetch(last.artifacts[0])
            assert len(content) == 7776 * 5 * 3 + 7775

    go(check())


@pytest.mark.parametrize(
    ("word", "partial", "links", "verdict"),
    [
        ("ended", True, {"data": "/d"}, Verdict.RUNNING),
        ("ended", None, {"data": "/d"}, Verdict.RUNNING),
        ("ended", False, {"data": "/d"}, Verdict.SUCCEEDED),
        ("finished", None, {"data": "/d"}, Verdict.SUCCEEDED),
        ("finished", True, {"data": "/d"}, Verdict.RUNNING),
        ("finished", True, {"data": "/d", "snapshot": None}, Verdict.RUNNING),
        ("finished", True, {"data": "/d", "snapshot": {"href": "/s"}}, Verdict.RUNNING),
        ("finished", True, {"data": "/d", "snapshot": "/s"}, Verdict.SUCCEEDED),
        ("analyzed", True, {"data": "/d", "snapshot": "/s"}, Verdict.SUCCEEDED),
        ("finished", True, {"snapshot": "/s"}, Verdict.RUNNING),
    ],
)
def test_a_missing_link_means_not_available_yet(word: str, partial: object, links: Any, verdict: Verdict) -> None:
    """Follow the links, and never believe a word without them."""
    assert go(observed(record(word, links=links, partial=partial), snapshot=True)).verdict is verdict


@pytest.mark.parametrize("links", [{}, {"data": None}, {"data": ""}, {"data": 7}, {"data": ["/d"]}, [], None], ids=str)
def test_ended_without_a_link_to_the_data_waits(links: object) -> None:
    """The word alone brings no file."""
    found = go(observed({**record("ended"), "links": links}))
    assert (found.verdict, found.artifacts, found.result) == (Verdict.RUNNING, (), {})


# --- on `/ended` check the status in the body ----------------------------------------------------------------------


@pytest.mark.parametrize("poll_at", ["milestone", "current"])
@pytest.mark.parametrize(
    "switches",
    [
        {"early_milestone": "current"},
        {"early_milestone": "errors", "early_download_code": 404},
        {"early_milestone": "errors", "early_download_code": 403},
        {"early_milestone": "errors", "early_download_code": 409},
        {"early_milestone": "errors", "early_download_code": 425},
        {"early_milestone": "errors", "early_download_code": 403, "error_http": "as_success"},
        {"early_milestone": "errors", "early_download_code": 404, "error_http": "as_success"},
    ],
    ids=str,
)
def test_a_milestone_that_is_not_reached_means_running(bench: Bench, switches: dict[str, Any], poll_at: str) -> None:
    """Whatever comes before it, 200 or an error, the job goes on, in the same session, and ends well."""
    bench.sim.set_switches("unique_tokens", **switches)
    bench.sim.plan("unique_tokens", PRODUCE.reference, duration=100)

    async def check() -> None:
        async with bench.trip(PRODUCE, poll_at=poll_at) as trip:
            await trip.submit()
            words = []
            for _ in range(5):
                seen = await trip.observe()
                assert seen.verdict is Verdict.RUNNING
                words.append(seen.word)
                bench.clock.advance(15)
            assert set(words) == {"requested", "started"}
            finished(PRODUCE, await trip.watch())

    go(check())
    assert bench.count(PRODUCE, "open_session") == {"201": 1}


def test_a_milestone_that_is_held_needs_the_setting(bench: Bench) -> None:
    """A connection held open ends in a timeout, a look that was lost; asking for the current state cures it."""
    bench.sim.set_switches("unique_tokens", early_milestone="held")
    bench.sim.plan("unique_tokens", PRODUCE.reference, duration=100)

    async def check() -> None:
        async with bench.trip(PRODUCE, read_timeout=0.2) as trip:
            await trip.submit()
            with pytest.raises(LostAnswer):
                await trip.observe()
        async with bench.provider("unique_tokens", poll_at="current", read_timeout=0.2) as provider:
            trip.operation = provider.operation("produce")
            assert (await trip.observe()).verdict is Verdict.RUNNING
            bench.clock.advance(100)
            assert (await trip.observe()).verdict is Verdict.SUCCEEDED
        async with bench.provider("unique_tokens") as provider:
            trip.operation = provider.operation("produce")
            finished(PRODUCE, await trip.watch())

    go(check())
    until(lambda: sum(bench.count(PRODUCE, "get_milestone").values()) == 2)


@pytest.mark.parametrize("visible", [True, False])
@pytest.mark.parametrize("step", [1, 10, 100])
@pytest.mark.parametrize("answered", ["requested", "started"])
def test_progress_is_passed_on_when_it_shows(bench: Bench, visible: bool, step: int, answered: str) -> None:
    """In percent, growing; its absence changes nothing."""
    bench.sim.set_switches(
        "unique_tokens",
        progress_visible=visible,
        progress_step=step,
        answered_status=answered,
        data_content_length=True,
    )
    bench.sim.plan("unique_tokens", PRODUCE.reference, duration=100)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            shown = [each.progress for each in await trip.watch(step=10)]
            numbers = [number for number in shown if number is not None]
            assert numbers == sorted(numbers)
            assert numbers[-1] == 100
            assert (len(set(numbers)) > 3) is (visible and step <= 10)

    go(check())


@pytest.mark.parametrize("progress", ["50", -1, 101, 1e300, True, None, [50], {"a": 1}, 10**30], ids=str)
def test_a_progress_that_is_none_is_left_out(progress: object) -> None:
    """It would be stored, shown, and reckoned with."""
    found = go(observed(record("started", links={}, progress=progress)))
    assert (found.verdict, found.progress) == (Verdict.RUNNING, None)
