"""LettrLabs: what is reported record by record, deletion to its end, words without contradiction, and the probe."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from providers.base import Probe, Verdict
from providers.errors import Refused, Unauthorized
from providers.lettrlabs import LettrLabsSettings
from providers.lettrlabs.records import ConvertRequest, plain
from simulator import samples

from .bench import CONVERT, DELETE, Bench, client, finished, go, job_of
from .server import Seen, http, scripted

INVALID = "no-domain@nowhere"


# --- record by record ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("placement", ["payload", "list"])
def test_rejected_records_are_told_by_position_and_order_hash(bench: Bench, placement: str) -> None:
    """Nothing of the records themselves is in the receipt or the result."""
    bench.sim.set_switches("lettrlabs", id_placement=placement)
    records = [
        samples.conversion("SO-1"),
        samples.conversion("SO-2", primaryEmail=INVALID),
        samples.conversion("x", orderId=None, primaryEmail=INVALID),
        samples.conversion("SO-4"),
    ]

    async def check() -> None:
        async with bench.trip(CONVERT, {"conversions": records}) as trip:
            receipt = await trip.submit()
            result = finished(CONVERT, await trip.watch()).result
            assert result["rejected"] == [1, 2]
            assert result["rejected_orders"] == [hashlib.sha256(b"SO-2").hexdigest()[:16], None]
            assert (result["sent"], result["accepted"], result["partial"]) == (4, 2, True)
            for told in (receipt, result):
                assert not any(text in json.dumps(told) for text in ("SO-", "@", "Ines", "5550"))

    go(check())


def test_of_several_uploads_the_failed_ones_are_named(bench: Bench) -> None:
    """By their ids, which are nobody's personal data."""
    bench.sim.set_switches("lettrlabs", one_upload_per="record")
    for number in range(4):
        bench.sim.plan("lettrlabs", f"SO-{number}", outcome="failed" if number in (1, 2) else "success", duration=1)
    body = {"conversions": [samples.conversion(f"SO-{number}") for number in range(4)]}

    async def check() -> None:
        async with bench.trip(CONVERT, body) as trip:
            uploads = (await trip.submit())["remote_id"].split(",")
            last = (await trip.watch())[-1]
            assert last.verdict is Verdict.FAILED
            assert last.message == f"2 of 4 uploads failed: {uploads[1]}, {uploads[2]}"

    go(check())


@pytest.mark.parametrize(
    ("revenue", "text"),
    [(129.5, "129.5"), (40, "40.0"), (0, "0.0"), (12.345, "12.345"), (1e-7, "0.0000001"), (1e22, "1" + 22 * "0")],
)
def test_revenue_as_a_text_loses_no_digit(revenue: float, text: str) -> None:
    """And has no exponent."""
    assert plain(float(revenue)) == text
    assert float(text) == revenue


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"revenue": None}, "revenue"),
        ({"revenue": -0.01}, "revenue"),
        ({"revenue": 7.93e28}, "revenue"),
        ({"revenue": float("nan")}, "revenue"),
        ({"revenue": float("inf")}, "revenue"),
        ({"firstName": "n" * 256}, "firstName"),
        ({"orderId": "n" * 256}, "orderId"),
        ({"primaryPhoneNumber": "5" * 21}, "primaryPhoneNumber"),
        ({"secondaryEmail": "nobody"}, "secondaryEmail"),
        ({"eventDate": "2026-03-04T16:20:00"}, "eventDate"),
        ({"colour": "red"}, "colour"),
        ({"primaryEmail": None, "primaryPhoneNumber": None, "primaryAddress": {"address1": "1 Road"}}, "conversions.0"),
    ],
    ids=str,
)
def test_a_record_is_checked_before_it_is_sent(changes: dict[str, Any], field: str) -> None:
    """Identifier rule, lengths, revenue, dates with a time zone: the field is named."""
    good, bad = samples.conversion("SO-1"), {**samples.conversion("SO-2"), "couponCode": None, **changes}
    ConvertRequest.model_validate({"conversions": [good]})
    with pytest.raises(ValidationError) as caught:
        ConvertRequest.model_validate({"conversions": [bad, good]})
    (error,) = caught.value.errors()
    assert ".".join(map(str, ["conversions", 0, field] if "." not in field else [field])) == ".".join(
        map(str, error["loc"])
    )


# --- deletion ------------------------------------------------------------------------------------------------------


def test_a_deletion_that_is_given_up_has_failed(bench: Bench) -> None:
    """With a word for it in the settings; without one it runs until the deadline."""
    bench.sim.set_switches("lettrlabs", deleted_word="Deletion failed", deletion_seconds=5)

    async def check() -> None:
        async with bench.trip(DELETE) as trip:
            await trip.submit()
            bench.clock.advance(6)
            seen = await trip.observe()
            assert (seen.verdict, seen.word, seen.known) == (Verdict.FAILED, "Deletion failed", True)
            assert (await trip.locate()).absent
        async with bench.provider("lettrlabs", words_undeleted=[]) as provider:
            seen = await provider.operation("delete").observe(job_of(DELETE, {}, trip.receipt or {}))
            assert (seen.verdict, seen.known) == (Verdict.RUNNING, False)

    go(check())


@pytest.mark.parametrize("errors", [[], ["Ines has them"]], ids=len)
def test_cancelling_reads_the_answers_to_its_deletions(errors: list[str]) -> None:
    """HTTP 200 with errors is a refusal: the job is not called cancelled at the provider."""

    def reply(seen: Seen) -> bytes:
        if seen.method == "DELETE":
            return http(200, {"payload": None, "errors": errors, "hasErrors": bool(errors)})
        return http(200, {"payload": {"id": 7, "status": "Processing"}, "errors": [], "hasErrors": False})

    async def check() -> bool:
        async with scripted(reply) as server, client("lettrlabs", server.url) as provider:
            return await provider.operation("convert").cancel(job_of(CONVERT, {}, {"remote_id": "7,8"}))

    if errors:
        with pytest.raises(Refused) as caught:
            go(check())
        assert "Ines" not in str(caught.value)
    else:
        assert go(check()) is True


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"words_running": ["Done"], "words_succeeded": ["done "]}, "words_running and in words_succeeded"),
        ({"words_failed": ["deleted"]}, "words_failed and in words_deleted"),
        ({"words_deleting": ["gone"], "words_undeleted": ["GONE"]}, "words_deleting and in words_undeleted"),
    ],
    ids=str,
)
def test_a_word_has_one_meaning(words: dict[str, Any], named: str) -> None:
    """A word in two lists would mean whatever list is read last."""
    with pytest.raises(ValidationError, match=named):
        LettrLabsSettings.model_validate(words)


# --- settle doctor --provider lettrlabs ----------------------------------------------------------------------------


async def probed(bench: Bench, **settings: Any) -> list[Probe]:
    """What the probe tells."""
    async with bench.provider("lettrlabs", **settings) as provider:
        return await provider.probe()


def remedies(probes: list[Probe]) -> list[str]:
    """Those that ask for a change."""
    return [f"{probe.what} -> {probe.remedy}" for probe in probes if probe.remedy]


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"list_order": "oldest"},
        {"upload_date_form": "naive"},
        {"upload_date_form": "offset"},
        {"frame": "orders"},
        {"unknown_id_payload": "defaults"},
        {"empty_as": "absent"},
    ],
    ids=str,
)
@pytest.mark.parametrize("uploads", [0, 2])
def test_an_api_that_is_as_assumed_needs_no_change(bench: Bench, switches: dict[str, Any], uploads: int) -> None:
    """Only calls that change nothing are made."""
    bench.sim.set_switches("lettrlabs", **switches)
    for number in range(uploads):
        bench.upload(f"SO-{number}")
        bench.clock.advance(1)
    found = go(probed(bench))
    assert remedies(found) == []
    assert len(found) == (3 if uploads == 0 else 5)
    requests = bench.sim.account()["lettrlabs"].requests
    assert sum(requests.get("create_conversions", {}).values()) == uploads
    assert "delete_conversion" not in requests


def test_the_probe_names_unknown_words_and_the_settings_cure_it(bench: Bench) -> None:
    """The words of the list and of the status call."""
    bench.sim.set_switches("lettrlabs", success_word="Mailed 12345678901")
    bench.sim.plan("lettrlabs", "SO-1", outcome="success", duration=1)
    bench.upload("SO-1")
    bench.clock.advance(5)
    (told,) = remedies(go(probed(bench)))
    assert "'Mailed <number>'" in told
    assert "SETTLE_LETTRLABS__{WORDS_RUNNING, WORDS_SUCCEEDED" in told
    assert remedies(go(probed(bench, words_succeeded=["mailed 12345678901"]))) == []


def refused(code: int) -> bytes:
    """An error in the envelope."""
    return http(code, {"payload": None, "hasErrors": True, "errors": ["no"]})


@pytest.mark.parametrize(
    ("answers", "remedy"),
    [
        ({"/v1/conversions?": refused(404)}, "ID_FROM"),
        ({"/v1/conversions?": http(200, {"payload": {"items": []}})}, "ID_FROM"),
        ({"/v1/conversions?": http(200, {"payload": [{"id": 7, "uploadDate": "yesterday"}]})}, "ID_FROM"),
        ({"/v1/conversions?": http(200, {"payload": [{"id": 7, "uploadDate": "2199-01-01T00:00:00Z"}]})}, "NTP"),
        ({"/v1/conversions/7/": http(200, {"payload": {"id": 7}})}, "nothing can be set"),
        ({"/v1/conversions/7/": refused(400)}, "nothing can be set"),
        ({"/v1/conversions/2147483647/": refused(400)}, "WORDS_DELETED"),
        ({"/v1/conversions/2147483647/": http(200, {"payload": None})}, "WORDS_DELETED"),
        ({"/v1/me": http(404)}, None),
    ],
    ids=str,
)
def test_the_probe_tells_which_assumption_fails(answers: dict[str, bytes], remedy: str | None) -> None:
    """Each with the setting to change, if there is one."""
    usual = {
        "/v1/me": http(200, {"payload": {"email": "ops@example.test"}}),
        "/v1/conversions?": http(200, {"payload": [{"id": 7, "uploadDate": "2026-03-04T16:35:02Z"}]}),
        "/v1/conversions/7/": http(200, {"payload": {"id": 7, "status": "Completed"}}),
        "/v1/conversions/2147483647/": refused(404),
    }

    async def check() -> list[Probe]:
        def reply(seen: Seen) -> bytes:
            table = {**usual, **answers}
            return next(table[part] for part in table if part in seen.path)

        async with scripted(reply) as server, client("lettrlabs", server.url) as provider:
            return await provider.probe()

    found = go(check())
    assert [remedy in told for told in remedies(found)] == ([True] if remedy else [])
    assert "ops@" not in str(found)


def test_the_probe_raises_for_a_wrong_key(bench: Bench) -> None:
    """The doctor names the setting."""

    async def check() -> None:
        async with client("lettrlabs", bench.sim.base_urls["lettrlabs"], key="LL-API-wrong") as provider:
            with pytest.raises(Unauthorized):
                await provider.probe()

    go(check())
