"""LettrLabs: HTTP 200 is no success, an error code no failure, and the status words are settings."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from providers.base import Verdict
from providers.errors import (
    BadAnswer,
    LostAnswer,
    Refused,
    TransientError,
    Unauthorized,
    Unavailable,
)

from .bench import CONVERT, DELETE, Bench, client, finished, go, job_of, request_of
from .lettrlabs import RECORDS, observed, uploaded

# --- HTTP 200 is not success; partial acceptance -------------------------------------------------------------------


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
