"""LettrLabs: what an upload sends, and which of its records are accepted (contract lettrlabs 12)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.errors import (
    Refused,
)
from simulator import samples

from .bench import CONVERT, Bench, client, finished, go, job_of
from .lettrlabs import RECORDS, envelope, posted, uploaded
from .server import http, scripted

# --- the body is a bare array, the id an integer -------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
def test_the_body_is_a_bare_array_also_for_one_record(number: int) -> None:
    """With the key, without an Idempotency-Key, and dates in UTC."""
    record = samples.conversion("SO-1", eventDate="2026-03-04T18:20:00+02:00")
    receipt, seen = go(posted(envelope([{"id": 7}] * number), records=[record, *RECORDS[1:]][:number]))
    sent = json.loads(seen[0].body)
    assert isinstance(sent, list)
    assert len(sent) == number
    assert sent[0]["eventDate"] == "2026-03-04T16:20:00Z"
    assert sent[0]["orderId"] == "SO-1"
    assert sent[0]["primaryAddress"]["zipCode"] == "62701"
    assert "crmId" not in sent[0]
    assert seen[0].headers["x-api-key"] == "LL-API-simulated-key"
    assert "idempotency-key" not in seen[0].headers
    assert receipt["remote_id"] == "7"


def test_the_id_of_the_status_call_is_an_integer() -> None:
    """One call per upload, each with its number."""

    async def check() -> list[str]:
        async with scripted(lambda _: http(200, uploaded())) as server, client("lettrlabs", server.url) as provider:
            await provider.operation("convert").observe(job_of(CONVERT, {}, {"remote_id": "7,8"}))
            return sorted(seen.path for seen in server.seen)

    assert go(check()) == ["/v1/conversions/7/status", "/v1/conversions/8/status"]


# --- HTTP 200 is not success; partial acceptance -------------------------------------------------------------------


INVALID = samples.conversion("SO-3", primaryEmail="no-domain@nowhere")


@pytest.mark.parametrize("placement", ["payload", "metadata", "list"])
@pytest.mark.parametrize("echo", ["left_out", "echoed"])
@pytest.mark.parametrize("empty", ["empty", "null", "absent"])
@pytest.mark.parametrize("frame", ["envelope", "orders"])
def test_partial_acceptance_is_reported(bench: Bench, placement: str, echo: str, empty: str, frame: str) -> None:
    """A success with fewer records than were sent says so, and which were not taken wherever the answer tells."""
    if placement == "metadata" and frame == "orders":
        placement = "list"  # that frame has no metadata
    bench.sim.set_switches(
        "lettrlabs", id_placement=placement, rejected_records=echo, empty_as=empty, frame=frame, revenue_echo="number"
    )
    body = {"conversions": [INVALID, *RECORDS, {**INVALID, "orderId": "SO-4", "uniqueId": "row-4"}]}

    async def check() -> None:
        async with bench.trip(CONVERT, body, id_field="conversionId" if placement == "metadata" else "id") as trip:
            receipt = await trip.submit()
            last = finished(CONVERT, await trip.watch())
            told = placement == "payload" or echo == "left_out"
            assert last.result["partial"] is True
            assert last.result["sent"] == 4
            assert last.result["accepted"] == (2 if told else None)
            assert last.result.get("rejected") == ([0, 3] if told else None)
            assert receipt["sent"] == 4

    go(check())


@pytest.mark.parametrize("placement", ["payload", "metadata", "list"])
@pytest.mark.parametrize("echo", ["left_out", "echoed"])
@pytest.mark.parametrize("code", [200, 400])
def test_a_post_without_a_valid_record_is_refused(bench: Bench, placement: str, echo: str, code: int) -> None:
    """With HTTP 200, too; and the upload of somebody else is not taken for ours."""
    bench.sim.set_switches("lettrlabs", id_placement=placement, rejected_records=echo, all_invalid_code=code)
    bench.upload("SO-0")
    body = {"conversions": [INVALID, {**INVALID, "orderId": "SO-4"}]}

    async def check() -> None:
        async with bench.trip(CONVERT, body) as trip:
            with pytest.raises(Refused) as caught:
                await trip.submit()
            assert caught.value.status == 400
            assert "no-domain" not in str(caught.value)

    go(check())


@pytest.mark.parametrize("repeated", ["dropped", "warned", "rejected"])
@pytest.mark.parametrize("placement", ["payload", "metadata", "list"])
def test_orders_that_are_known_already_are_not_accepted_again(bench: Bench, placement: str, repeated: str) -> None:
    """Dropped silently is no success: nothing of this POST was taken."""
    bench.sim.set_switches("lettrlabs", id_placement=placement, repeated_order_id=repeated)

    async def check() -> None:
        async with bench.trip(CONVERT, job_id="order-1", id_field="conversionId") as first:
            await first.submit()
        async with bench.trip(CONVERT, job_id="order-2") as second:
            with pytest.raises(Refused, match="HTTP 400" if repeated == "rejected" else "no record was accepted"):
                await second.submit()

    go(check())
    assert bench.accepted(CONVERT) == 1


# --- revenue -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("echo", ["string", "number"])
@pytest.mark.parametrize("wanted", ["any", "number", "string"])
def test_revenue_is_switchable(bench: Bench, wanted: str, echo: str) -> None:
    """A service that wants strings refuses the default, and takes the setting."""
    bench.sim.set_switches("lettrlabs", revenue_request=wanted, revenue_echo=echo)

    async def check() -> None:
        for form in ("number", "string"):
            body = {"conversions": [samples.conversion(f"SO-{form}")]}
            async with bench.trip(CONVERT, body, revenue_as=form) as trip:
                if wanted in ("any", form):
                    await trip.submit()
                    assert finished(CONVERT, await trip.watch()).result["partial"] is False
                else:
                    with pytest.raises(Refused):
                        await trip.submit()

    go(check())


@pytest.mark.parametrize("overlong", ["reject", "truncate"])
def test_fields_at_their_limit_pass(bench: Bench, overlong: str) -> None:
    """255 and 20 characters are allowed, by us and by them."""
    bench.sim.set_switches("lettrlabs", overlong=overlong)
    record = samples.conversion("S" * 255, uniqueId="U" * 255, firstName="é" * 255, primaryPhoneNumber="5" * 20)

    async def check() -> None:
        async with bench.trip(CONVERT, {"conversions": [record]}) as trip:
            assert (await trip.submit())["accepted"] == 1

    go(check())


# --- switches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {"post_code": 201},
        {"post_code": 202},
        {"file_name": "null"},
        {"file_name": "absent"},
        {"frame": "orders"},
        {"frame": "orders", "empty_as": "absent"},
        {"empty_as": "null"},
        {"empty_as": "absent"},
        {"rejected_records": "echoed"},
        {"repeated_order_id": "accepted"},
        {"running_words": ("Pending",)},
        {"list_total": True, "page_cap": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("placement", ["payload", "list"])
def test_success_under_every_switch(bench: Bench, switches: dict[str, Any], placement: str) -> None:
    """None of these choices changes the way of an upload."""
    bench.sim.set_switches("lettrlabs", id_placement=placement, **switches)

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            await trip.submit()
            assert finished(CONVERT, await trip.watch()).result["accepted"] == 2

    go(check())
