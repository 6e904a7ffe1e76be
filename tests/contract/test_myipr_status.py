"""myIPR: how a version is asked for, and what ends it (contract myipr 9)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.artifacts import Artifact
from providers.base import Observation, Verdict
from providers.errors import (
    BadAnswer,
    Busy,
    NotFound,
    ProviderError,
    Refused,
    Unauthorized,
    Unavailable,
)

from .bench import CERTIFY, Bench, client, go, job_of
from .myipr import DONE, HASH, INTENT, RECEIPT, observed
from .server import Seen, http, scripted


def seen_as(**changes: Any) -> Observation:
    """What the client makes of a finished version with these fields changed."""
    return go(observed({"status": 201, "message": "success", "result": {**DONE, **changes}}))


# --- `POST`, not GET, for reads; with an empty body ----------------------------------------------------------------


def test_reads_are_posts_with_an_empty_body(bench: Bench) -> None:
    """get-version and certificate; the simulator refuses GET."""
    seen: list[Seen] = []

    async def check() -> None:
        def answer(request: Seen) -> bytes:
            seen.append(request)
            return http(201, {"status": 201, "result": DONE})

        async with scripted(answer) as server, client("myipr", f"{server.url}/open/v1", key="the-key") as provider:
            operation = provider.operation("certify")
            job = job_of(CERTIFY, INTENT, RECEIPT)
            await operation.observe(job)
            with pytest.raises(BadAnswer):
                async with operation.download(job, Artifact(name="certificate.pdf")):
                    pass

    go(check())
    assert [(each.method, each.path) for each in seen] == [
        ("POST", "/open/v1/get-version/v-1"),
        ("POST", "/open/v1/get-version/v-1/certificate"),
    ]
    for each in seen:
        assert each.body == b""
        assert each.headers["authorization"] == "SECRET the-key"


def test_create_sends_the_five_fields_of_the_sample() -> None:
    """Numbers as strings, the hash in lower case, `file_source` as it must be."""

    async def check() -> Seen:
        answer = http(201, {"status": 201, "result": {"versionId": "v-1", "fileId": "f-1"}})
        async with scripted(lambda _: answer) as server, client("myipr", server.url) as provider:
            operation = provider.operation("certify")
            request = operation.request(name="Harbour", category_id=10, hash=HASH.upper(), size=1079)
            intent = operation.intent(request, "order-1")
            assert intent == INTENT
            assert await operation.submit(request, intent) == RECEIPT
            return server.seen[0]

    seen = go(check())
    assert json.loads(seen.body) == {
        "name": "Harbour",
        "category_id": "10",
        "file_source": "client-hash",
        "hash": HASH,
        "size": "1079",
    }
    assert seen.headers["content-type"] == "application/json"


# --- two different `status` ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("envelope", "verdict"),
    [(201, Verdict.SUCCEEDED), (200, Verdict.SUCCEEDED), (None, Verdict.SUCCEEDED), ("completed", Verdict.SUCCEEDED)],
)
def test_the_envelopes_status_is_no_status_of_the_version(envelope: object, verdict: Verdict) -> None:
    """A success of the request; the version's own word decides."""
    assert go(observed({"status": envelope, "result": DONE})).verdict is verdict
    running = {"status": envelope, "result": {**DONE, "status": "pending"}}
    assert go(observed(running)).verdict is Verdict.RUNNING


@pytest.mark.parametrize(
    ("envelope", "error"),
    [
        (400, Refused),
        ("400", Refused),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (409, Refused),
        (429, Busy),
        (500, Unavailable),
        (503, Busy),
    ],
)
def test_an_error_in_the_envelope_under_http_200_is_an_error(envelope: object, error: type[ProviderError]) -> None:
    """Check the HTTP code, then the envelope, then the version, even one that looks complete."""
    with pytest.raises(error) as caught:
        go(observed({"status": envelope, "message": "no", "result": DONE}, code=200))
    assert type(caught.value) is error


@pytest.mark.parametrize("word", [201, 200, True, None, ["completed"], {"a": 1}, "201"], ids=str)
def test_a_version_status_that_is_no_known_word_is_running(word: object) -> None:
    """Also the integer that would be a success of the envelope."""
    found = seen_as(status=word)
    assert (found.verdict, found.known) == (Verdict.RUNNING, False)


# --- ignore `fileStatus` -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_status", ["in_progress", "completed", "failed", None, 3])
def test_file_status_decides_nothing(file_status: object) -> None:
    """Neither the success nor the wait."""
    assert seen_as(fileStatus=file_status).verdict is Verdict.SUCCEEDED
    assert seen_as(fileStatus=file_status, status="in_progress").verdict is Verdict.RUNNING


# --- poll by `versionId`; accept object or array -------------------------------------------------------------------


OTHER = {**DONE, "version_id": "v-2", "status": "pending"}


@pytest.mark.parametrize(
    "shape",
    [
        {"result": DONE},
        {"result": [DONE]},
        {"results": [DONE]},
        {"results": DONE},
        {"result": None, "results": [DONE]},
        {"result": {}, "results": [DONE]},
        {"result": DONE, "results": []},
        {"result": DONE, "results": [OTHER]},
        {"result": [OTHER, DONE]},
        {"results": [OTHER, None, DONE]},
        {"result": [{key: value for key, value in DONE.items() if key != "version_id"}]},
        {"result": {**DONE, "description": None}},
        {"result": {key: value for key, value in DONE.items() if key != "error"}},
    ],
    ids=lambda shape: f"{list(shape)}"[:40],
)
def test_the_result_may_be_an_object_or_an_array(shape: dict[str, Any]) -> None:
    """`result` or `results`; of several versions the one that was asked for."""
    found = go(observed({"status": 201, **shape}))
    assert found.verdict is Verdict.SUCCEEDED
    assert found.result["version_id"] == "v-1"


@pytest.mark.parametrize("shape", [{}, {"result": []}, {"result": OTHER}, {"result": [OTHER]}, {"result": "completed"}])
def test_an_answer_about_nothing_or_another_version_is_a_bad_answer(shape: dict[str, Any]) -> None:
    """It is not taken for ours."""
    with pytest.raises(BadAnswer):
        go(observed({"status": 201, **shape}))


# --- failure only on a non-empty `error`; a bare `completed`; the hash ---------------------------------------------


@pytest.mark.parametrize("error", [{}, None, [], "", False, 0])
def test_an_empty_error_is_none(error: object) -> None:
    """However nothing is written."""
    assert seen_as(error=error).verdict is Verdict.SUCCEEDED


@pytest.mark.parametrize("error", [{"code": "MINT_REFUSED"}, {"ada@example.test": 1}, ["broken"], "broken"], ids=str)
@pytest.mark.parametrize("word", ["completed", "in_progress", "mint_failed"])
def test_a_non_empty_error_is_failure_whatever_the_word(error: object, word: str) -> None:
    """Its keys are told, its values are not."""
    found = seen_as(error=error, status=word)
    assert (found.verdict, found.known) == (Verdict.FAILED, True)
    assert "ada@example.test" not in (found.message or "")
    assert "broken" not in (found.message or "")
    assert ("MINT_REFUSED" in (found.message or "")) is False


@pytest.mark.parametrize("word", ["failed", "mint_failed", "rejected"])
def test_a_word_of_failure_without_an_error_is_a_setting(word: str) -> None:
    """None is documented: by default it means running, with the setting it means failure."""
    answer = {"status": 201, "result": {**DONE, "status": word, "transaction_id": None}}
    found = go(observed(answer))
    assert (found.verdict, found.known) == (Verdict.RUNNING, False)
    found = go(observed(answer, words_failed=(word.upper(),)))
    assert (found.verdict, found.known) == (Verdict.FAILED, True)


@pytest.mark.parametrize("transaction", [None, "", {}, [], {"id": "x"}, 7, True], ids=str)
def test_completed_without_a_transaction_waits(transaction: object) -> None:
    """Only a text that is not empty is one."""
    found = seen_as(transaction_id=transaction)
    assert (found.verdict, found.result, found.artifacts) == (Verdict.RUNNING, {}, ())


def test_completed_with_another_hash_has_failed() -> None:
    """Compare the returned hash before believing `completed`; letter case does not matter."""
    found = seen_as(hash="0" * 64)
    assert found.verdict is Verdict.FAILED
    assert HASH in (found.message or "")
    assert found.result == {}
    assert seen_as(hash=HASH.upper()).verdict is Verdict.SUCCEEDED


@pytest.mark.parametrize("digest", [None, "", 0, {}, [HASH]], ids=str)
def test_completed_without_a_hash_waits(digest: object) -> None:
    """Nothing was compared yet, so nothing is believed."""
    assert seen_as(hash=digest).verdict is Verdict.RUNNING


def test_a_wrong_hash_of_the_service_is_a_failure(bench: Bench) -> None:
    """The same, from the simulator."""
    bench.sim.plan("myipr", "Harbour", wrong_digest=True, duration=1)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            bench.clock.advance(2)
            assert (await trip.observe()).verdict is Verdict.FAILED

    go(check())


def test_the_result_holds_nothing_personal() -> None:
    """What a caller needs of the version; the user stays out, and so does whatever is no id."""
    found = seen_as(transaction_id="ada@example.test", fileId={"a": 1})
    assert found.result == {
        "name": "Harbour",
        "version_id": "v-1",
        "file_id": None,
        "transaction_id": None,
        "hash": HASH,
    }
