"""LettrLabs: the id of an upload is found where the settings say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from providers.base import Verdict
from providers.errors import (
    BadAnswer,
)
from simulator import samples

from .bench import CONVERT, Bench, finished, go
from .lettrlabs import envelope, posted


def now() -> str:
    """The present as the list writes it."""
    return datetime.now(UTC).isoformat()


@pytest.mark.parametrize(
    ("switches", "settings", "uploads"),
    [
        ({"id_placement": "payload"}, {}, 1),
        ({"id_placement": "payload"}, {"id_from": ["payload"]}, 1),
        ({"id_placement": "payload", "one_upload_per": "record"}, {}, 3),
        ({"id_placement": "metadata"}, {"id_field": "conversionId"}, 1),
        ({"id_placement": "metadata"}, {"id_field": "conversionId", "id_from": ["metadata"]}, 1),
        ({"id_placement": "metadata", "metadata_key": "id"}, {}, 1),
        ({"id_placement": "metadata", "one_upload_per": "record"}, {"id_field": "conversionId"}, 3),
        ({"id_placement": "metadata"}, {}, 1),  # not where it was expected, so the list helps
        ({"id_placement": "list"}, {}, 1),
        ({"id_placement": "list", "list_order": "oldest"}, {"id_from": ["list"]}, 1),
        ({"id_placement": "list", "one_upload_per": "record"}, {"uploads_per": "record"}, 3),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["z", "offset", "naive"])
def test_every_upload_is_found_and_followed(
    bench: Bench, switches: dict[str, Any], settings: dict[str, Any], uploads: int, form: str
) -> None:
    """Wherever the id is told, and however many uploads one POST makes, all of them must succeed."""
    bench.sim.set_switches("lettrlabs", upload_date_form=form, **switches)
    for number in range(3):
        bench.sim.plan("lettrlabs", f"SO-{number}", duration=10 + 10 * number)
    body = {"conversions": [samples.conversion(f"SO-{number}") for number in range(3)]}

    async def check() -> None:
        async with bench.trip(CONVERT, body, **settings) as trip:
            receipt = await trip.submit()
            ids = sorted(map(int, receipt["remote_id"].split(",")), reverse=True)
            assert ids == bench.uploads()[:uploads]
            assert len(ids) == uploads
            bench.clock.advance(11)
            seen = await trip.observe()
            assert seen.verdict is (Verdict.SUCCEEDED if uploads == 1 else Verdict.RUNNING)
            last = finished(CONVERT, await trip.watch())
            assert last.result == {"id": receipt["remote_id"], "sent": 3, "accepted": 3, "partial": False}

    go(check())


@pytest.mark.parametrize("fails", [0, 2])
def test_one_failed_upload_of_several_is_a_failure(bench: Bench, fails: int) -> None:
    """The others may have succeeded."""
    bench.sim.set_switches("lettrlabs", one_upload_per="record")
    for number in range(3):
        outcome = "failed" if number == fails else "success"
        bench.sim.plan("lettrlabs", f"SO-{number}", duration=10 + number, outcome=outcome)
    body = {"conversions": [samples.conversion(f"SO-{number}") for number in range(3)]}

    async def check() -> None:
        async with bench.trip(CONVERT, body) as trip:
            await trip.submit()
            assert (await trip.watch(step=20))[-1].verdict is Verdict.FAILED

    go(check())


def test_jobs_do_not_take_each_others_uploads_from_the_list(bench: Bench) -> None:
    """An upload that a job has adopted is no other's."""
    bench.sim.set_switches("lettrlabs", id_placement="list")

    async def check() -> list[str]:
        found = []
        for number in range(3):
            body = {"conversions": [samples.conversion(f"SO-{number}")]}
            async with bench.trip(CONVERT, body, job_id=f"order-{number}") as trip:
                found.append((await trip.submit())["remote_id"])
        return found

    assert sorted(map(int, go(check())), reverse=True) == bench.uploads()


def test_the_list_is_read_beyond_its_first_page(bench: Bench) -> None:
    """Oldest first, and pages that are shorter than asked for: ours is on the last one."""
    bench.sim.set_switches("lettrlabs", id_placement="list", list_order="oldest", page_cap=3)
    bench.clock.advance(-1000)
    for number in range(10, 20):
        bench.upload(f"SO-{number}")
    bench.clock.advance(1000)

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            assert (await trip.submit())["remote_id"] == str(bench.uploads()[0])

    go(check())


def test_an_old_upload_is_not_taken_for_ours() -> None:
    """Nothing newer than the POST: accepted, but in doubt; never another's upload."""
    old = [{"id": 5, "uploadDate": "2026-01-01T00:00:00Z"}, {"id": 6}, {"id": 7, "uploadDate": "soon"}, None, 3]
    with pytest.raises(BadAnswer, match="nowhere to be found"):
        go(posted(envelope([{"orderId": "SO-1"}, {"orderId": "SO-2"}]), listed=old))


@pytest.mark.parametrize(
    "payload",
    [
        [{"id": True}, {"id": 0}, {"id": -7}, {"id": 7.5}, {"id": "seven"}, {"id": None}, None, 7, []],
        {"id": None},
        "58213",
        None,
    ],
    ids=str,
)
def test_an_id_that_is_none_is_looked_for_elsewhere(payload: object) -> None:
    """Only a positive integer is one, perhaps written as a string."""
    receipt, _ = go(posted(envelope(payload), listed=[{"id": "58214", "uploadDate": now()}]))
    assert receipt["remote_id"] == "58214"


@pytest.mark.parametrize("place", ["payload", "metadata"])
@pytest.mark.parametrize("kind", ["429", "500", "503", "401", "reset", "cut_body", "rubbish"])
def test_trouble_with_the_list_never_says_that_the_post_was_not_carried_out(
    bench: Bench, place: str, kind: Any
) -> None:
    """The POST is through: "come back later" from the list must not send it a second time."""
    bench.sim.set_switches("lettrlabs", id_placement="list")
    bench.sim.fault("lettrlabs", kind, operation="list_conversions")

    async def check() -> None:
        async with bench.trip(CONVERT, id_from=[place, "list"]) as trip:
            with pytest.raises(BadAnswer) as caught:
                await trip.submit()
            assert caught.value.may_have_arrived is True
            bench.sim.clear_faults()
            assert (await trip.locate()).receipt is not None

    go(check())
    assert bench.accepted(CONVERT) == 1


def test_an_id_that_is_nowhere_is_in_doubt(bench: Bench) -> None:
    """With a setting that excludes the right place, nothing is guessed; the other setting cures it."""
    bench.sim.set_switches("lettrlabs", id_placement="metadata")

    async def check() -> None:
        async with bench.trip(CONVERT, id_from=["payload"]) as trip:
            with pytest.raises(BadAnswer, match="id_from"):
                await trip.submit()
        other = {"conversions": [samples.conversion("SO-9")]}
        async with bench.trip(CONVERT, other, id_from=["metadata"], id_field="conversionId") as trip:
            assert (await trip.submit())["remote_id"] == str(bench.uploads()[0])

    go(check())
