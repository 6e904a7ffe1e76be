"""LettrLabs: what its client must get right (contract lettrlabs 12), and the switches it may trip over."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.base import Observation, Verdict
from providers.errors import (
    BadAnswer,
    LostAnswer,
    NotFound,
    ProviderError,
    Refused,
    TransientError,
    Unauthorized,
    Unavailable,
)
from simulator import samples

from .bench import CONVERT, DELETE, Bench, client, finished, go, job_of, request_of
from .server import Seen, http, scripted

PROFILE = {"id": 4107, "email": "ops@example.test", "firstName": "Ana", "lastName": "Ops", "company": "Example Co"}
RECORDS = [samples.conversion("SO-1"), samples.conversion("SO-2", revenue=40)]


def envelope(payload: object = None, **changes: Any) -> dict[str, Any]:
    """An answer in the frame of the seed page."""
    frame = {"profile": PROFILE, "payload": payload, "errors": [], "hasErrors": False, "warnings": [], "metadata": {}}
    return {**frame, **changes}


def uploaded(status: object = "Completed", **changes: Any) -> dict[str, Any]:
    """A status answer."""
    return envelope({"id": 7, "fileName": "f.json", "status": status, "uploadDate": "2026-03-04T16:35:02Z"}, **changes)


async def observed(
    answer: object, *, code: int = 200, operation: str = "convert", receipt: Any = None, **settings: Any
) -> Observation:
    """What the client makes of this answer to a status call."""
    async with scripted(lambda _: http(code, answer)) as server, client("lettrlabs", server.url, **settings) as made:
        way = CONVERT if operation == "convert" else DELETE
        job = job_of(way, {}, receipt or {"remote_id": "7", "sent": 1, "accepted": 1})
        return await made.operation(operation).observe(job)


async def posted(
    answer: object,
    *,
    code: int = 200,
    records: list[dict[str, Any]] | None = None,
    listed: object = (),
    **settings: Any,
) -> tuple[dict[str, Any], list[Seen]]:
    """The receipt that comes of this answer to a POST, and all that was asked."""

    def reply(seen: Seen) -> bytes:
        if seen.method == "POST":
            return http(code, answer)
        return http(200, envelope(list(listed) if "pageNumber=0" in seen.path else []))  # type: ignore[call-overload]

    async with scripted(reply) as server, client("lettrlabs", server.url, **settings) as provider:
        operation = provider.operation("convert")
        request = request_of(operation, {"conversions": records or RECORDS})
        return await operation.submit(request, operation.intent(request, "order-1")), server.seen


def now() -> str:
    """The present as the list writes it."""
    return datetime.now(UTC).isoformat()


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


# --- resolve the id by configuration -------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.RUNNING),
        ({"hasErrors": True}, Verdict.FAILED),
        ({"hasErrors": "true"}, Verdict.FAILED),
        ({"hasErrors": 1}, Verdict.FAILED),
        ({"hasErrors": "false"}, Verdict.RUNNING),
        ({"hasErrors": "False", "errors": None}, Verdict.RUNNING),
        ({"hasErrors": None}, Verdict.RUNNING),
        ({"hasErrors": False, "errors": ["Ines is unknown"]}, Verdict.FAILED),
        ({"hasErrors": False, "errors": "Ines is unknown"}, Verdict.FAILED),
        ({"errors": {"[0].email": ["bad"]}}, Verdict.FAILED),
        ({"errorDetails": [{"message": "Ines is unknown"}]}, Verdict.FAILED),
        ({"hasWarnings": True, "warnings": ["Ines is unknown"]}, Verdict.RUNNING),
    ],
    ids=str,
)
def test_http_200_is_not_success(changes: dict[str, Any], verdict: Verdict) -> None:
    """`hasErrors` and `errors` are read in whatever form; their texts are withheld."""
    found = go(observed(uploaded("Processing", **changes)))
    assert found.verdict is verdict
    assert "Ines" not in str(found)


def test_errors_beside_a_word_of_success_are_told() -> None:
    """It has succeeded, but not wholly."""
    found = go(observed(uploaded("Completed", hasErrors=True, errors=["Ines is unknown", "bad"])))
    assert (found.verdict, found.result["partial"]) == (Verdict.SUCCEEDED, True)
    assert found.message == "2 error(s); the texts are withheld, they may hold personal data"


# --- the same envelope comes with error codes ----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["word", "has_errors", "http_error"])
@pytest.mark.parametrize("code", [400, 409, 422])
@pytest.mark.parametrize("frame", ["envelope", "orders"])
def test_a_failed_upload_has_failed_in_every_form(bench: Bench, form: str, code: int, frame: str) -> None:
    """As a word, as `hasErrors` with HTTP 200, or as an HTTP error with a complete-looking payload."""
    bench.sim.set_switches("lettrlabs", failure_form=form, failure_code=code, frame=frame)
    bench.sim.plan("lettrlabs", "SO-1", outcome="failed", duration=10, message="Ines Moreau is unknown")

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            await trip.submit()
            assert (await trip.observe()).verdict is Verdict.RUNNING
            bench.clock.advance(11)
            seen = await trip.observe()
            assert seen.verdict is Verdict.FAILED
            assert "Ines" not in str(seen)

    go(check())


def test_a_failure_as_http_500_cannot_be_told_from_an_outage(bench: Bench) -> None:
    """It costs looks until the deadline: never a guess."""
    bench.sim.set_switches("lettrlabs", failure_form="http_error", failure_code=500)
    bench.sim.plan("lettrlabs", "SO-1", outcome="failed", duration=1)

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            await trip.submit()
            bench.clock.advance(2)
            with pytest.raises(Unavailable):
                await trip.observe()

    go(check())


@pytest.mark.parametrize("code", [302, 400, 409, 418, 422])
@pytest.mark.parametrize(
    "body", [b"", b"<html>sign in</html>", "no", [], {}, uploaded("Completed")], ids=lambda b: repr(b)[:20]
)
def test_an_error_code_without_errors_is_not_the_uploads_failure(code: int, body: object) -> None:
    """A proxy may answer so; nor is the payload of an envelope a success."""
    with pytest.raises(Refused if code != 302 and isinstance(body, dict) and "payload" in body else BadAnswer):
        go(observed(body, code=code))


@pytest.mark.parametrize("shape", ["string", "text", "envelope", "empty"])
def test_a_wrong_key_stops_the_provider(bench: Bench, shape: str) -> None:
    """401 with a bare string, text, the envelope, or nothing."""
    bench.sim.set_switches("lettrlabs", auth_error_shape=shape)

    async def check() -> None:
        async with client("lettrlabs", bench.sim.base_urls["lettrlabs"], key="LL-API-wrong") as provider:
            convert, delete = provider.operation("convert"), provider.operation("delete")
            request = request_of(convert, {"conversions": RECORDS})
            intent = convert.intent(request, "order-1")
            with suppress(LostAnswer), provider.posts.leaving("order-1"):
                raise LostAnswer("lost")
            for work in (
                convert.submit(request, intent),
                convert.locate(request, intent),
                convert.observe(job_of(CONVERT, intent, {"remote_id": "7"})),
                delete.submit(delete.request(id=7), {"id": 7}),
                delete.locate(delete.request(id=7), {"id": 7}),
                delete.observe(job_of(DELETE, {}, {"remote_id": "7"})),
            ):
                with pytest.raises(Unauthorized):
                    await work

    go(check())


@pytest.mark.parametrize("payload", ["null", "defaults"])
@pytest.mark.parametrize("empty", ["empty", "null", "absent"])
@pytest.mark.parametrize("frame", ["envelope", "orders"])
def test_an_unknown_upload_is_running_or_gone(bench: Bench, payload: str, empty: str, frame: str) -> None:
    """404 with a filled-in payload: for an upload "not yet", for a deletion "done"."""
    bench.sim.set_switches("lettrlabs", unknown_id_payload=payload, empty_as=empty, frame=frame)

    async def check() -> None:
        async with bench.provider("lettrlabs") as provider:
            seen = await provider.operation("convert").observe(job_of(CONVERT, {}, {"remote_id": "99"}))
            assert seen.verdict is Verdict.RUNNING
            seen = await provider.operation("delete").observe(job_of(DELETE, {}, {"remote_id": "99"}))
            assert (seen.verdict, seen.result) == (Verdict.SUCCEEDED, {"id": 99, "deleted": True})

    go(check())


@pytest.mark.parametrize("shape", ["envelope", "html"])
@pytest.mark.parametrize("kind", ["429", "500", "503"])
def test_an_outage_is_transient_in_every_shape(bench: Bench, shape: str, kind: Any) -> None:
    """JSON or a page."""
    bench.sim.set_switches("lettrlabs", outage_shape=shape)
    bench.sim.fault("lettrlabs", kind)

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            trip.lose()
            for work in (trip.submit(), trip.locate()):
                with pytest.raises(TransientError):
                    await work

    go(check())


# --- keep the status mapping outside the code ----------------------------------------------------------------------


def test_the_words_are_settings(bench: Bench) -> None:
    """Other spellings run until the deadline by default; with the settings they decide, whatever their case."""
    bench.sim.set_switches(
        "lettrlabs",
        running_words=("Eingereicht", "Läuft"),
        success_word="FERTIG",
        deleting_word="Wird gelöscht",
        deleted_word="Weg",
    )
    words = {
        "words_running": ["eingereicht", "läuft"],
        "words_succeeded": ["fertig"],
        "words_deleting": ["wird gelöscht"],
        "words_deleted": ["weg"],
    }

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            await trip.submit()
            bench.clock.advance(60)
            seen = await trip.observe()
            assert (seen.verdict, seen.word, seen.known) == (Verdict.RUNNING, "FERTIG", False)
        async with bench.provider("lettrlabs", **words) as provider:
            trip.operation = provider.operation("convert")
            finished(CONVERT, await trip.watch())
        target = {"id": bench.uploads()[0]}
        async with bench.trip(DELETE, target, **words) as trip:
            await trip.submit()
            seen = await trip.observe()
            assert (seen.verdict, seen.word, seen.known) == (Verdict.RUNNING, "Wird gelöscht", True)
            assert finished(DELETE, await trip.watch()).word == "Weg"

    go(check())


@pytest.mark.parametrize(
    ("word", "verdict", "known"),
    [
        ("Completed", Verdict.SUCCEEDED, True),
        (" completed ", Verdict.SUCCEEDED, True),
        ("In Progress", Verdict.RUNNING, True),
        ("Rejected", Verdict.FAILED, True),
        ("Deleted", Verdict.FAILED, True),
        ("Paid", Verdict.RUNNING, False),
        ("Complete!", Verdict.RUNNING, False),
        (None, Verdict.RUNNING, False),
        (3, Verdict.RUNNING, False),
        (["Completed"], Verdict.RUNNING, False),
    ],
    ids=str,
)
def test_a_word_decides_only_if_it_is_known(word: object, verdict: Verdict, known: bool) -> None:
    """Never guess success; a deleted upload can never complete."""
    found = go(observed(uploaded(word)))
    assert (found.verdict, found.known or verdict is Verdict.FAILED) == (verdict, known)


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


# --- DELETE is a request, not a fact -------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["word", "not_found"])
@pytest.mark.parametrize("empty", ["empty", "null", "absent"])
def test_a_deletion_is_polled_until_it_is_done(bench: Bench, end: str, empty: str) -> None:
    """A word of deletion and a not-found answer both mean done; before that it runs."""
    bench.sim.set_switches("lettrlabs", deletion_end=end, deletion_seconds=60, empty_as=empty, list_total=True)

    async def check() -> None:
        async with bench.trip(DELETE) as trip:
            assert trip.intent == {"id": trip.request.id}
            await trip.submit()
            seen = await trip.observe()
            assert (seen.verdict, seen.word, seen.known) == (Verdict.RUNNING, "MarkedForDeletion", True)
            bench.clock.advance(60)
            last = finished(DELETE, [await trip.observe()])
            assert last.word == ("Deleted" if end == "word" else "not found")
            assert last.result == {"id": trip.request.id, "deleted": True}

    go(check())


def test_a_deletion_that_is_not_allowed_is_refused(bench: Bench) -> None:
    """Depending on the status; later it is."""
    bench.sim.set_switches("lettrlabs", deletion_allowed="finished")

    async def check() -> None:
        async with bench.trip(DELETE) as trip:
            with pytest.raises(Refused):
                await trip.submit()
            bench.clock.advance(60)
            await trip.submit()

    go(check())


@pytest.mark.parametrize("code", [200, 400, 404])
@pytest.mark.parametrize("later", [0, 60])
def test_a_repeated_deletion_is_on_its_way(bench: Bench, code: int, later: float) -> None:
    """The transport may repeat a DELETE by itself: a refusal of the second one is no failure of the first."""
    bench.sim.set_switches("lettrlabs", repeated_delete_code=code)

    async def check() -> None:
        async with bench.trip(DELETE) as trip:
            await trip.operation.provider.http.call("GET", "/v1/me")  # a connection that is used again
            bench.sim.fault("lettrlabs", "reset_after", operation="delete_conversion", times=1)
            assert await trip.submit() == {"remote_id": str(trip.request.id)}
            bench.clock.advance(later)
            assert await trip.submit() == {"remote_id": str(trip.request.id)}
            finished(DELETE, await trip.watch())

    go(check())


def test_deleting_what_does_not_exist_is_refused(bench: Bench) -> None:
    """The id was wrong: better said than done."""

    async def check() -> None:
        async with bench.trip(DELETE, {"id": 99}) as trip:
            with pytest.raises(NotFound):
                await trip.submit()

    go(check())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http(204), None),
        (http(200), None),
        (http(202, envelope()), None),
        (http(200, envelope(hasErrors=True, errors=["Ines"])), Refused),
        (http(200, "Deleted"), BadAnswer),
        (http(200, b"OK"), BadAnswer),
        (http(409, envelope(errors=["Ines"])), Refused),
        (http(403), Unauthorized),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else repr(value)[:24],
)
def test_the_answer_to_a_deletion_may_have_any_body(answer: bytes, error: type[ProviderError] | None) -> None:
    """None is needed; errors in it count under HTTP 200, too."""

    async def check() -> dict[str, Any]:
        def reply(seen: Seen) -> bytes:
            return answer if seen.method == "DELETE" else http(200, uploaded("Completed"))

        async with scripted(reply) as server, client("lettrlabs", server.url) as provider:
            operation = provider.operation("delete")
            return await operation.submit(operation.request(id=7), {"id": 7})

    if error is None:
        assert go(check()) == {"remote_id": "7"}
    else:
        with pytest.raises(error) as caught:
            go(check())
        assert "Ines" not in str(caught.value)


@pytest.mark.parametrize("word", ["Completed", "Processing", "Failed"])
def test_a_word_of_the_upload_is_no_news_for_its_deletion(word: str) -> None:
    """Known, and not yet deleted."""
    found = go(observed(uploaded(word), operation="delete"))
    assert (found.verdict, found.known) == (Verdict.RUNNING, True)


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
