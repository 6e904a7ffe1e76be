"""LettrLabs: after a lost answer the list is read first, and orders are known by `orderId`."""

from __future__ import annotations

import time

import pytest

from providers.errors import (
    LostAnswer,
)
from simulator import samples

from .bench import CONVERT, Bench, client, finished, go, request_of

# --- HTTP 200 is not success; partial acceptance -------------------------------------------------------------------


@pytest.mark.parametrize("repeated", ["dropped", "warned"])
def test_a_repeat_of_our_own_lost_post_is_recognized(bench: Bench, repeated: str) -> None:
    """Sent again with the same intent, all dropped as known: the upload of the first attempt is ours."""
    bench.sim.set_switches("lettrlabs", repeated_order_id=repeated)
    bench.sim.fault("lettrlabs", "reset_after", operation="create_conversions", times=1)

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            receipt = await trip.submit()
            assert receipt["remote_id"] == str(bench.uploads()[0])
            assert finished(CONVERT, await trip.watch()).result["partial"] is True

    go(check())
    assert bench.accepted(CONVERT) == 1


# --- orderId, and the list after a timeout -------------------------------------------------------------------------


def test_only_records_with_an_order_id_may_be_sent_again() -> None:
    """The intent says so, and nothing personal."""

    async def check() -> None:
        async with client("lettrlabs", "http://127.0.0.1:9") as provider:
            operation = provider.operation("convert")
            for orders, safe in ((("SO-1", "SO-2"), True), (("SO-1", None), False), (("SO-1", ""), False)):
                records = [samples.conversion("x", orderId=order) for order in orders]
                intent = operation.intent(request_of(operation, {"conversions": records}), "order-1")
                assert intent.pop("at") == pytest.approx(time.time(), abs=5)
                assert intent == {"job": "order-1", "records": 2, "all_with_order_id": safe}

    go(check())


@pytest.mark.parametrize("orders", [True, False])
@pytest.mark.parametrize("placement", ["payload", "metadata", "list"])
def test_after_a_timeout_the_list_is_looked_at_first(bench: Bench, placement: str, orders: bool) -> None:
    """Found there, it is adopted even without order ids; not found, it may be sent again only with them."""
    bench.sim.set_switches("lettrlabs", id_placement=placement)
    body = {"conversions": [samples.conversion("SO-1", **({} if orders else {"orderId": None}))]}

    async def check() -> None:
        async with bench.trip(CONVERT, body) as trip:
            located = await trip.locate()
            assert (located.receipt, located.absent) == (None, orders)
            bench.sim.fault("lettrlabs", "reset_after", operation="create_conversions")
            with pytest.raises(LostAnswer):
                await trip.submit()
            bench.sim.clear_faults()
            assert (await trip.locate()).receipt == {"remote_id": str(bench.uploads()[0]), "sent": 1}
            assert finished(CONVERT, await trip.watch()).result["accepted"] is None

    go(check())
    assert bench.count(CONVERT) == {"reset_after": 1}


@pytest.mark.parametrize("orders", [True, False])
def test_several_candidates_are_no_answer(bench: Bench, orders: bool) -> None:
    """Nobody can tell which is ours, so only the order ids help; those of our other jobs are none."""
    body = {"conversions": [samples.conversion("SO-1", **({} if orders else {"orderId": None}))]}

    async def check() -> None:
        async with bench.trip(CONVERT, {"conversions": [samples.conversion("SO-5")]}, job_id="order-5") as other:
            await other.submit()
        async with bench.trip(CONVERT, body) as trip:
            trip.lose()
            assert (await trip.locate()).receipt is None
            bench.upload("SO-6")
            bench.upload("SO-7")
            located = await trip.locate()
            assert (located.receipt, located.absent) == (None, orders)

    go(check())


def test_an_intent_of_an_earlier_version_can_still_be_asked_for(bench: Bench) -> None:
    """Without its time the list says nothing."""

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            del trip.intent["at"]
            assert (await trip.locate()).absent is True

    go(check())


def test_several_uploads_of_one_lost_post_are_all_found(bench: Bench) -> None:
    """With the setting for one upload per record."""
    bench.sim.set_switches("lettrlabs", one_upload_per="record")
    bench.sim.fault("lettrlabs", "reset_after", operation="create_conversions", times=1)

    async def check() -> None:
        async with bench.trip(CONVERT, uploads_per="record") as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            located = await trip.locate()
            assert located.receipt is not None
            assert [int(each) for each in located.receipt["remote_id"].split(",")] == bench.uploads()

    go(check())


def test_the_notes_of_adopted_uploads_do_not_grow(bench: Bench) -> None:
    """An old one gives way, and the newer one counts."""

    async def check() -> None:
        async with bench.provider("lettrlabs") as provider:
            assert provider.uploads.adopt(7, "one")
            assert provider.uploads.adopt(7, "one")
            assert not provider.uploads.adopt(7, "two")
            assert provider.uploads.adopt(7 + 32_768, "two")
            assert not provider.uploads.adopt(7 + 32_768, "one")
            assert provider.uploads.adopt(7, "three")

    go(check())
