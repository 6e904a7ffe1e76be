"""myIPR: what its client must get right (contract myipr 9), and the switches it may trip over."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx
import pytest

from jobs.artifacts import Artifact
from providers.base import Observation, Verdict
from providers.errors import (
    BadAnswer,
    Busy,
    ForeignHost,
    LostAnswer,
    NotFound,
    ProviderError,
    Refused,
    TransientError,
    Unauthorized,
    Unavailable,
)
from simulator import samples

from .bench import CERTIFY, Bench, Trip, client, finished, go, job_of
from .server import Seen, http, scripted

HASH = samples.sha256_of("Harbour")
INTENT = {"name": "Harbour", "hash": HASH}
RECEIPT = {"remote_id": "v-1", "file_id": "f-1"}
DONE: dict[str, Any] = {
    "version_id": "v-1",
    "fileId": "f-1",
    "version_name": "Harbour",
    "fileName": "Harbour",
    "fileStatus": "in_progress",
    "transaction_id": "9d41c07b",
    "hash": HASH,
    "status": "completed",
    "error": {},
    "user": {"id": "u", "first_name": "Ada", "last_name": "Example", "email": "ada@example.test"},
}


async def observed(answer: object, *, code: int = 201, **settings: Any) -> Observation:
    """What the client makes of this answer to get-version."""
    async with scripted(lambda _: http(code, answer)) as server, client("myipr", server.url, **settings) as provider:
        return await provider.operation("certify").observe(job_of(CERTIFY, INTENT, RECEIPT))


def seen_as(**changes: Any) -> Observation:
    """What the client makes of a finished version with these fields changed."""
    return go(observed({"status": 201, "message": "success", "result": {**DONE, **changes}}))


def somebody_certifies(bench: Bench, *names: str, **changes: Any) -> None:
    """Certificates that are there already."""
    headers = {"Authorization": f"SECRET {bench.sim.keys['myipr']}"}
    with httpx.Client(base_url=bench.sim.base_urls["myipr"], headers=headers, verify=False, trust_env=False) as other:  # noqa: S501
        for name in names:
            other.post("/create", json={**samples.certificate_request(name), **changes}).raise_for_status()


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


# --- after a lost answer; a refusal as duplicate -------------------------------------------------------------------


@pytest.mark.parametrize("reveals", [False, True])
@pytest.mark.parametrize(
    ("code", "http_code"), [(400, "true"), (409, "true"), (400, "always_200"), (409, "always_200")]
)
@pytest.mark.parametrize("shape", ["envelope", "hint"])
def test_a_refusal_as_duplicate_may_be_our_own(
    bench: Bench, code: int, reveals: bool, http_code: str, shape: str
) -> None:
    """The name and the hash are looked up, and the certificate is adopted: one certificate, no failure."""
    bench.sim.set_switches(
        "myipr", duplicate_code=code, duplicate_reveals_ids=reveals, http_code=http_code, error_shape=shape
    )
    bench.sim.fault("myipr", "reset_after", operation="create", times=1)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            receipt = await trip.submit()
            assert receipt["file_id"]
            finished(CERTIFY, await trip.watch())

    go(check())
    assert bench.accepted(CERTIFY) == 1
    assert bench.sim.account()["myipr"].jobs["Harbour"].refused == 1
    assert bool(bench.count(CERTIFY, "recent_files")) is not reveals


@pytest.mark.parametrize("reveals", [False, True])
@pytest.mark.parametrize("http_code", ["true", "always_200"])
@pytest.mark.parametrize("end", ["empty", "error"])
def test_a_duplicate_of_somebody_else_is_a_refusal(bench: Bench, reveals: bool, http_code: str, end: str) -> None:
    """The same name with another hash, or the same hash under another name, is not ours."""
    bench.sim.set_switches("myipr", duplicate_reveals_ids=reveals, http_code=http_code, recent_end=end)
    somebody_certifies(bench, "Harbour", hash="ab" * 32)
    somebody_certifies(bench, "Another", hash="cd" * 32)

    async def check() -> None:
        for changes in ({}, {"name": "New", "hash": "cd" * 32}):
            async with bench.trip(CERTIFY, {**bench.body(CERTIFY), **changes}) as trip:
                with pytest.raises(Refused) as caught:
                    await trip.submit()
                assert caught.value.status == 400
                located = await trip.locate()
                assert located.receipt is None

    go(check())


@pytest.mark.parametrize(
    ("order", "end"),
    list(itertools.product(("newest", "oldest"), ("empty", "error", "repeat"))),
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("others", [0, 29, 30, 65])
def test_locate_reads_the_list_to_its_end(bench: Bench, order: str, end: str, others: int) -> None:
    """Whatever its order, and whatever stands behind its last page: found, and absent when it is not there."""
    bench.sim.set_switches("myipr", recent_order=order, recent_end=end, recent_id_type="integer")
    somebody_certifies(bench, *(f"file {number}" for number in range(others // 2)))

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            absent = await trip.locate()
            assert (absent.receipt, absent.absent) == (None, True)
            receipt = await trip.submit()
            somebody_certifies(bench, *(f"file {number}" for number in range(others // 2, others)))
            found = await trip.locate()
            assert found.receipt is not None
            assert found.receipt["remote_id"] == receipt["remote_id"]
            assert found.receipt["file_id"] == receipt["file_id"]

    go(check())


@pytest.mark.parametrize(
    ("order", "setting", "found", "absent"),
    [
        ("newest", "unknown", True, False),
        ("newest", "newest", True, False),
        ("oldest", "unknown", False, False),
    ],
)
def test_a_list_that_is_not_read_to_its_end_decides_nothing(
    bench: Bench, order: str, setting: str, found: bool, absent: bool
) -> None:
    """A certificate that may be on a later page is neither called absent nor sent again, nor called refused."""
    bench.sim.set_switches("myipr", recent_order=order)

    async def check() -> None:
        async with bench.trip(CERTIFY, recent_pages=1, recent_order=setting) as trip:
            somebody_certifies(bench, *(f"file {number}" for number in range(31)))
            receipt = await trip.submit()
            located = await trip.operation.locate(trip.request, trip.intent)
            assert (located.receipt is not None, located.absent) == (found, absent)
            if found:
                assert await trip.submit() == receipt  # the refusal as duplicate is our own
            else:
                with pytest.raises(BadAnswer) as caught:
                    await trip.submit()
                assert caught.value.may_have_arrived
        async with bench.trip(CERTIFY, {**bench.body(CERTIFY), "name": "None", "hash": "ab" * 32}) as nobody:
            assert (await nobody.locate()).absent is True
        async with bench.trip(
            CERTIFY, {**bench.body(CERTIFY), "name": "None"}, recent_pages=1, recent_order=setting
        ) as nobody:
            assert (await nobody.locate()).absent is (setting == "newest")

    go(check())
    assert bench.accepted(CERTIFY) == 1 + 31


@pytest.mark.parametrize("digest", [None, "", ...], ids=str)
def test_a_version_of_our_name_without_a_hash_decides_nothing(digest: object) -> None:
    """It may be ours, and it may be somebody else's: asked again later."""
    shown = {key: value for key, value in {**DONE, "hash": digest}.items() if value is not ...}

    def answer(seen: Seen) -> bytes:
        if seen.path.startswith("/recent-files"):
            entry = {"name": "Harbour", "primary_version_id": "v-1"}
            return http(200, {"status": 200, "result": [entry]})
        return http(201, {"status": 201, "result": shown})

    async def check() -> None:
        async with scripted(answer) as server, client("myipr", server.url) as provider:
            with pytest.raises(BadAnswer):
                await provider.operation("certify").locate(None, INTENT)

    go(check())


@pytest.mark.parametrize(
    "entries",
    [
        [None, 3, "Harbour", []],
        [{"name": "Harbour"}],
        [{"name": "Harbour", "primary_version_id": None}],
        [{"name": "Harbour", "primary_version_id": 7}],
        [{"name": "Harbour", "primary_version_id": "../create"}],
        [{"name": ["Harbour"], "primary_version_id": "v-1"}],
        [{"name": "Harbour", "primary_version_id": "v-404"}],
    ],
    ids=str,
)
def test_locate_skips_entries_it_cannot_use(entries: list[Any]) -> None:
    """Wrong types in the list neither crash nor match."""

    def answer(seen: Seen) -> bytes:
        if seen.path.startswith("/recent-files"):
            return http(200, {"status": 200, "result": entries if seen.path.endswith("page=1") else []})
        return (
            http(404, {"status": 404, "message": "Version not found"})
            if seen.path.endswith("v-404")
            else http(201, {"status": 201, "result": DONE})
        )

    async def check() -> None:
        async with scripted(answer) as server, client("myipr", server.url) as provider:
            operation = provider.operation("certify")
            located = await operation.locate(None, INTENT)
            assert (located.receipt, located.absent) == (None, True)
            assert all("create" not in seen.path for seen in server.seen)

    go(check())


@pytest.mark.parametrize("kind", ["500", "reset", "429", "rubbish"])
def test_a_duplicate_that_cannot_be_looked_up_is_asked_again(bench: Bench, kind: Any) -> None:
    """The refusal alone would be the wrong verdict."""

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            bench.sim.fault("myipr", kind, operation="recent_files")
            with pytest.raises(TransientError):
                await trip.submit()

    go(check())


# --- the certificate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("http_code", ["true", "always_200"])
def test_the_certificate_is_fetched_at_use(bench: Bench, array: bool, http_code: str) -> None:
    """Its link is asked for each time, follows nowhere into the records, and the PDF arrives whole."""
    bench.sim.set_switches("myipr", certificate_result_array=array, http_code=http_code)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            last = finished(CERTIFY, await trip.watch())
            assert last.artifacts == (Artifact(name="certificate.pdf"),)
            assert "http" not in str((trip.receipt, last.result))
            for _ in range(2):
                content, rule = await trip.fetch(last.artifacts[0])
                assert content.startswith(b"%PDF")
                assert rule is None
                bench.clock.advance(3600)

    go(check())
    assert bench.count(CERTIFY, "certificate") == {"201" if http_code == "true" else "200": 2}


@pytest.mark.parametrize("http_code", ["true", "always_200"])
@pytest.mark.parametrize("code", [400, 404, 409])
def test_a_certificate_that_is_not_made_yet_is_waited_for(bench: Bench, code: int, http_code: str) -> None:
    """What is answered too early is not documented: transient, whatever it is."""
    bench.sim.set_switches("myipr", certificate_early_code=code, http_code=http_code)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            with pytest.raises(Unavailable):
                await trip.fetch(Artifact(name="certificate.pdf"))

    go(check())


def test_a_dead_link_is_asked_for_again(bench: Bench) -> None:
    """403 from the storage is not about our key: it neither fails the job nor stops the provider."""
    bench.sim.set_switches("myipr", certificate_link_seconds=1e-9)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            last = finished(CERTIFY, await trip.watch())
            with pytest.raises(Unavailable, match="link is dead"):
                await trip.fetch(last.artifacts[0])
            bench.sim.set_switches("myipr", certificate_link_seconds=60)
            assert (await trip.fetch(last.artifacts[0]))[0]

    go(check())


@pytest.mark.parametrize("code", [200, 403, 404])
@pytest.mark.parametrize("late", [60, 61, 3600])
def test_a_late_fetch_asks_for_another_link(bench: Bench, code: int, late: int) -> None:
    """A worker that stood still between link and fetch: whatever the storage says, nothing of it is taken for a PDF."""
    bench.sim.set_switches("myipr", certificate_dead_code=code)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            last = finished(CERTIFY, await trip.watch())
            real = trip.operation.provider.http.download

            def stalled(link: str) -> Any:
                bench.clock.advance(late)
                return real(link)

            trip.operation.provider.http.download = stalled
            with pytest.raises(Unavailable) as caught:
                await trip.fetch(last.artifacts[0])
            assert "127.0.0.1" not in str(caught.value)
            trip.operation.provider.http.download = real
            assert (await trip.fetch(last.artifacts[0]))[0].startswith(b"%PDF")

    go(check())
    assert bench.count(CERTIFY, "certificate") == {"201": 2}
    assert bench.count(CERTIFY, "certificate_pdf") == {str(code): 1, "200": 1} if code != 200 else {"200": 2}


def test_a_link_is_good_to_its_last_moment(bench: Bench) -> None:
    """59 s late is in time."""

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            last = finished(CERTIFY, await trip.watch())
            real = trip.operation.provider.http.download

            def slow(link: str) -> Any:
                bench.clock.advance(59)
                return real(link)

            trip.operation.provider.http.download = slow
            assert (await trip.fetch(last.artifacts[0]))[0].startswith(b"%PDF")

    go(check())


PDF = b"%PDF-1.7\n" + bytes(range(256)) * 2000


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (PDF, True),
        (b"%PDF-", True),
        (b"\n" * 1019 + PDF, True),
        (b"\n" * 1020 + PDF, False),
        (b"", False),
        (b"%PD", False),
        (b"<html>expired</html>", False),
        (b'{"status": 404}' + b" " * 5000, False),
    ],
    ids=lambda value: f"{len(value)}-{value[:6]!r}" if isinstance(value, bytes) else str(value),
)
def test_only_a_pdf_is_a_certificate(content: bytes, whole: bool) -> None:
    """Its mark is among the first 1024 bytes, as readers take it; every byte arrives as it was sent."""

    def answer(seen: Seen) -> bytes:
        link = {"certificateLink": "/c.pdf"}
        return http(201, {"status": 201, "result": link}) if seen.method == "POST" else http(200, content)

    async def check() -> None:
        async with scripted(answer) as server, client("myipr", server.url) as provider:
            got = bytearray()

            async def fetch() -> None:
                job = job_of(CERTIFY, INTENT, RECEIPT)
                async with provider.operation("certify").download(job, Artifact(name="certificate.pdf")) as chunks:
                    async for chunk in chunks:
                        got.extend(chunk)

            if whole:
                await fetch()
                assert bytes(got) == content
                return
            with pytest.raises(Unavailable, match="no PDF"):
                await fetch()
            assert got == b""

    go(check())


@pytest.mark.parametrize("link", ["//evil.example/x.pdf", "http://user@127.0.0.1/x.pdf", "http://storage.example/x"])
def test_a_link_to_a_foreign_host_is_permanent(link: str) -> None:
    """The hosts of certificates are a setting."""

    async def check() -> None:
        made = http(201, {"status": 201, "result": {"certificateLink": link}})
        async with scripted(lambda _: made) as server, client("myipr", server.url) as provider:
            with pytest.raises(ForeignHost):
                async with provider.operation("certify").download(
                    job_of(CERTIFY, INTENT, RECEIPT), Artifact(name="certificate.pdf")
                ):
                    pass
            assert len(server.seen) == 1

    go(check())


@pytest.mark.parametrize("link", [None, "", 7, ["http://127.0.0.1/x"], {"href": "/x"}], ids=str)
def test_a_link_that_is_none_is_a_bad_answer(link: object) -> None:
    """Nothing is asked for."""

    async def check() -> None:
        made = http(201, {"status": 201, "result": {"certificateLink": link}})
        async with scripted(lambda _: made) as server, client("myipr", server.url) as provider:
            with pytest.raises(BadAnswer):
                async with provider.operation("certify").download(
                    job_of(CERTIFY, INTENT, RECEIPT), Artifact(name="certificate.pdf")
                ):
                    pass

    go(check())


def test_the_certificate_can_be_left(bench: Bench) -> None:
    """With the setting off there is nothing to fetch."""

    async def check() -> None:
        async with bench.trip(CERTIFY, certificate=False) as trip:
            await trip.submit()
            last = (await trip.watch())[-1]
            assert (last.verdict, last.artifacts) == (Verdict.SUCCEEDED, ())

    go(check())


# --- switches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {"http_code": "always_200"},
        {"success_code": 200},
        {"http_code": "always_200", "success_code": 200},
        {"content_type_required": True},
        {"transaction_id_before": "absent"},
        {"transaction_id_before": "null"},
        {"transaction_id_before": "empty"},
        {"transaction_id_before": "rotate", "bare_completed_seconds": 120},
        {"bare_completed_seconds": 45, "transaction_id_before": "null"},
        {"running_words": ("in_progress",)},
        {"running_words": ("minting", "confirming", "almost")},
        {"extra_create_field": None},
        {"extra_create_field": "status"},
        {"results_beside_result": True},
        {"time_format": "sql"},
        {"time_format": "epoch_ms"},
        {"get_on_posts_code": 405},
        {"file_versions_key": "result"},
    ],
    ids=str,
)
def test_success_under_every_switch(bench: Bench, switches: dict[str, Any]) -> None:
    """None of these choices changes the way of a certificate, and none makes it end too early."""
    bench.sim.set_switches("myipr", **switches)
    bench.sim.plan("myipr", "Harbour", duration=100)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            seen = await trip.watch(step=15)
            last = finished(CERTIFY, seen)
            assert len(str(last.result["transaction_id"])) == 64
            assert len(seen) >= 7 + int(switches.get("bare_completed_seconds", 0)) // 15

    go(check())


@pytest.mark.parametrize("shape", ["envelope", "hint"])
@pytest.mark.parametrize("http_code", ["true", "always_200"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_errors_have_their_type_in_every_shape(bench: Bench, shape: str, http_code: str, content_type: str) -> None:
    """Refusals, wrong keys, unknown versions and outages, also when HTTP says 200 to all of them."""
    bench.sim.set_switches("myipr", error_shape=shape, http_code=http_code, error_content_type=content_type)
    unknown = {"message": "not found", "errorField": "", "customErrorNumber": -2}

    async def check() -> None:
        bad = {**bench.body(CERTIFY), "category_id": "99"}
        async with bench.trip(CERTIFY, bad) as trip:
            with pytest.raises(Refused) as caught:
                await trip.submit()
            assert "category_id" in str(caught.value)
        async with bench.trip(CERTIFY) as trip:
            for kind, error in (("401", Unauthorized), ("429", Busy), ("500", Unavailable), ("503", Busy)):
                bench.sim.fault("myipr", kind, operation="create", times=1, retry_after=5)  # type: ignore[arg-type]
                with pytest.raises(error) as found:
                    await trip.submit()
                assert not isinstance(found.value, Busy) or found.value.retry_after == 5
            trip.receipt = {"remote_id": "unknown"}
            hidden = shape == "hint" and http_code == "always_200"
            with pytest.raises((NotFound, Refused) if hidden else NotFound):
                await trip.observe()

    go(check())
    with pytest.raises(Refused):
        go(observed(unknown, code=200))


@pytest.mark.parametrize("code", [401, 403])
def test_a_wrong_key_stops_the_provider(bench: Bench, code: int) -> None:
    """401 or 403, on every call."""
    bench.sim.set_switches("myipr", auth_code=code)

    async def check() -> None:
        async with client("myipr", bench.sim.base_urls["myipr"], key="another-key") as provider:
            operation = provider.operation("certify")
            request = operation.request.model_validate(bench.body(CERTIFY))
            for work in (
                operation.submit(request, INTENT),
                operation.locate(request, INTENT),
                operation.observe(job_of(CERTIFY, INTENT, RECEIPT)),
            ):
                with pytest.raises(Unauthorized):
                    await work

    go(check())


@pytest.mark.parametrize(("code", "error"), [(400, Refused), (402, Refused), (403, Unauthorized)])
def test_credits_that_ran_out_are_a_refusal(bench: Bench, code: int, error: type[ProviderError]) -> None:
    """403 cannot be told from a wrong key, so it stops the provider."""
    bench.sim.set_switches("myipr", credits=0, credits_code=code)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            with pytest.raises(error):
                await trip.submit()

    go(check())


def test_a_name_that_is_too_long_for_the_service_is_a_refusal(bench: Bench) -> None:
    """Its limit is not documented; the refusal names the field."""
    bench.sim.set_switches("myipr", name_max_length=5)

    async def check(trip: Trip) -> None:
        with pytest.raises(Refused, match="name"):
            await trip.submit()

    async def main() -> None:
        async with bench.trip(CERTIFY) as trip:
            await check(trip)

    go(main())


@pytest.mark.parametrize("frees", [False, True])
def test_a_failed_version_may_free_its_name(bench: Bench, frees: bool) -> None:
    """Where it does not, the failed one is found again and fails again; where it does, there is a new one."""
    bench.sim.set_switches("myipr", failed_frees_name=frees)
    bench.sim.plan("myipr", "Harbour", outcome="failed", duration=1)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            first = await trip.submit()
            bench.clock.advance(2)
            assert (await trip.observe()).verdict is Verdict.FAILED
            second = await trip.submit()
            assert (first == second) is not frees

    go(check())


@pytest.mark.parametrize("shown", [None, "", 7, ["v"], "../create", "a b"], ids=str)
def test_an_acceptance_without_a_version_is_in_doubt(shown: object) -> None:
    """It was accepted, but nobody knows as what: a bad answer, not a refusal."""

    async def check() -> None:
        answer = http(201, {"status": 201, "result": {"versionId": shown, "fileId": "f"}})
        async with scripted(lambda _: answer) as server, client("myipr", server.url) as provider:
            operation = provider.operation("certify")
            with pytest.raises(BadAnswer) as caught:
                await operation.submit(operation.request(name="n", category_id="1", hash=HASH, size="1"), INTENT)
            assert caught.value.may_have_arrived

    go(check())


def test_an_answer_without_a_body_is_no_result() -> None:
    """204 is a success without content, which is none here."""
    with pytest.raises(BadAnswer):
        go(observed(b"", code=204))
