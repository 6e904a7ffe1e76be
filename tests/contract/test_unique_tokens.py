"""Unique Tokens: what its client must get right (contract unique-tokens 11), and the switches it may trip over."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from jobs.artifacts import Artifact, DigestRule
from jobs.errors import ArtifactError, DigestMismatch, LineCountMismatch, SizeMismatch
from providers.base import Observation, Verdict
from providers.errors import (
    BadAnswer,
    Busy,
    ForeignHost,
    LostAnswer,
    NotFound,
    NotSent,
    ProviderError,
    Refused,
    TransientError,
    Unauthorized,
    Unavailable,
)

from .bench import CAPACITY, PRODUCE, Bench, Trip, client, finished, go, job_of, until
from .server import Seen, http, scripted

SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"
SESSION = "33305508-61c6-4750-a51b-dd68c80198de"
LINE = "2eef4018-374d-4e86-acee-3c8d8caf9e35"
FINGERPRINT = hashlib.sha256(SESSION.encode()).hexdigest()[:12]
INTENT = {"ident": "pi_1", "alphabet": "UPPER_HEX", "digits": 12, "size": 2000, "snapshot": False}


def record(status: str = "ended", *, links: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """A tokens object like that of the seed page."""
    return {
        "meta": {"seed": SEED},
        "links": {"self": "/api/tokens", "data": f"/api/tokens/{LINE}/data"} if links is None else links,
        "data": {
            "type": "tokens",
            "id": LINE,
            "attributes": {
                "status": status,
                "analysis": "none",
                "alphabet": "UPPER_HEX",
                "digits": "12",
                "size": "2000",
                "reachable": "87381",
                "available": "281474976708656",
                "partial": True,
                "rate": 8000,
                "filesizes": {"data": 25999},
                "filehashes": {"data": "32fc3e6f" * 8},
                **attributes,
            },
            "relationships": {"payment": {"data": {"type": "transaction", "id": "t", "ident": "pi_1"}}},
        },
    }


def opening(answer: Callable[[Seen], Any]) -> Callable[[Seen], Any]:
    """Open a session first, then answer like this."""

    def reply(seen: Seen) -> Any:
        if seen.path == "/api/sessions":
            return http(201, {"data": {"type": "session", "id": SESSION}})
        return http(200, CAPACITY) if seen.path.startswith("/api/alphabets/") else answer(seen)

    return reply


async def observed(answer: object, *, code: int = 200, snapshot: bool = False, **settings: Any) -> Observation:
    """What the client makes of this answer to an info call."""
    async with (
        scripted(opening(lambda _: http(code, answer))) as server,
        client("unique_tokens", server.url, **settings) as provider,
    ):
        job = job_of(PRODUCE, {**INTENT, "snapshot": snapshot}, {"remote_id": LINE})
        return await provider.operation("produce").observe(job)


async def ordered(answer: object, *, code: int = 201) -> dict[str, Any]:
    """What the client makes of this answer to an order."""
    async with (
        scripted(opening(lambda _: http(code, answer))) as server,
        client("unique_tokens", server.url) as provider,
    ):
        operation = provider.operation("produce")
        request = operation.request.model_validate(Bench.body(None, PRODUCE))  # type: ignore[arg-type]
        return await operation.submit(request, operation.intent(request, "order-1"))


# --- numbers -------------------------------------------------------------------------------------------------------


def test_numbers_come_as_strings_of_any_length() -> None:
    """`available` exceeds 64 bits by far; sizes come as numbers, or as strings all the same."""
    huge = str(62**100)
    for size, length in (("2000", 25999), (2000, "25999"), ("2000", "25999")):
        found = go(observed(record(size=size, available=huge, filesizes={"data": length})))
        assert found.verdict is Verdict.SUCCEEDED
        assert found.result["available"] == huge
        assert (found.result["size"], found.result["scaled_down"]) == (2000, False)
        assert (found.artifacts[0].size, found.artifacts[0].lines) == (25999, 2000)


def test_the_order_writes_numbers_as_the_normal_examples_do() -> None:
    """Strings of digits, both media types, the Session-Key; the Api-Key only for the session."""

    async def check() -> list[Seen]:
        async with (
            scripted(opening(lambda _: http(201, record("requested")))) as server,
            client("unique_tokens", server.url, key="6f6b1d52-7c1a") as provider,
        ):
            operation = provider.operation("produce")
            body = Bench.body(None, PRODUCE)  # type: ignore[arg-type]
            request = operation.request.model_validate(body)
            assert await operation.submit(request, operation.intent(request, "order-1")) == {
                "remote_id": LINE,
                "session": FINGERPRINT,
            }
            await operation.observe(job_of(PRODUCE, INTENT, {"remote_id": LINE}))
            return server.seen

    session, ask, order, look = go(check())
    assert ask.path == "/api/alphabets/UPPER_HEX/12"
    sent = json.loads(order.body)
    assert sent["data"]["attributes"] == {"alphabet": "UPPER_HEX", "digits": "12", "size": "2000"}
    assert sent["data"]["relationships"]["payment"]["data"]["type"] == "transaction"
    assert sent["meta"] == {"seed": SEED}
    assert json.loads(session.body) == {"data": {"type": "session", "attributes": {}}}
    assert session.headers["api-key"] == "6f6b1d52-7c1a"
    assert "session-key" not in session.headers
    for seen in (ask, order, look):
        assert seen.headers["session-key"] == SESSION
        assert "api-key" not in seen.headers
        assert seen.headers["accept"] == seen.headers["content-type"] == "application/vnd.api+json"


@pytest.mark.parametrize("seed", [None, "x", SEED, "saat-über"])
def test_the_seed_is_sent_only_if_given(bench: Bench, seed: str | None) -> None:
    """Without one the line has no digests by default, and its files are unverified; with one they are checked."""

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "seed": seed}) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            assert last.artifacts[0].seed == seed
            assert (last.artifacts[0].sha256 is None) is (seed is None)
            content, rule = await trip.fetch(last.artifacts[0])
            assert content.count(b"\n") == 1999
            assert rule is (DigestRule.SEED_BEFORE if seed else None)

    go(check())


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


# --- an `errors` member means failure whatever the HTTP code -------------------------------------------------------


@pytest.mark.parametrize("http_code", [200, 201, 402, 500])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (402, Refused),
        (406, Refused),
        ("406", Refused),
        (404, NotFound),
        (410, NotFound),
        (429, Busy),
        (500, Unavailable),
        (503, Busy),
    ],
)
def test_errors_decide_whatever_the_http_code(http_code: int, status: object, error: type[ProviderError]) -> None:
    """`errors[].status` may be the only true code; the parameter is named."""
    body = {"errors": [{"status": status, "title": "No", "detail": "Out.", "source": {"parameter": "size"}}]}
    with pytest.raises(error) as caught:
        go(ordered(body, code=http_code))
    assert type(caught.value) is error
    assert "(parameter: size)" in str(caught.value)
    with pytest.raises(ProviderError):
        go(ordered({**record("requested"), **body}, code=http_code))


@pytest.mark.parametrize(
    "errors",
    [
        [{}],
        [None],
        ["broken"],
        "broken",
        {"status": 402},
        7,
        True,
        [{"status": None}],
        [{"status": 200}],
        [{"status": 0}],
        [{"status": "many"}],
        [{"status": [402], "title": 7, "detail": {}, "source": "size"}],
        [{"status": 402, "source": {"parameter": ["size"]}}],
    ],
    ids=str,
)
@pytest.mark.parametrize("code", [201, 402, 500])
def test_errors_of_any_shape_are_a_failure(errors: object, code: int) -> None:
    """Never an acceptance; an unusable status leaves the HTTP code in force."""
    named = isinstance(errors, list) and isinstance(errors[0], dict) and errors[0].get("status") == 402
    with pytest.raises(Unavailable if code == 500 and not named else Refused):
        go(ordered({**record("requested"), "errors": errors}, code=code))


def test_a_number_beyond_all_numbers_is_no_status() -> None:
    """JSON can write what Python reads as infinity."""
    with pytest.raises(Unavailable):
        go(ordered(b'{"errors": [{"status": 1e999}]}', code=500))
    body = json.dumps(record(size=1, filesizes={"data": 2}, progress=3)).replace('"size": 1', '"size": 1e999')
    found = go(observed(body.replace('"data": 2', '"data": -1e999').encode()))
    assert (found.artifacts[0].lines, found.artifacts[0].size) == (None, None)


@pytest.mark.parametrize("errors", [None, [], {}, ""], ids=str)
def test_an_empty_errors_member_is_none(errors: object) -> None:
    """Nothing went wrong."""
    assert go(ordered({**record("requested"), "errors": errors})) == {"remote_id": LINE, "session": FINGERPRINT}


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize(
    ("change", "code"),
    [({"alphabet": "NO_SUCH"}, 422), ({"alphabet": "DICE", "digits": 20, "size": 17477}, 402)],
)
def test_a_refused_order_is_permanent(bench: Bench, error_http: str, change: dict[str, Any], code: int) -> None:
    """Under its own code and under 201."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, oversize="refused")

    async def check() -> None:
        unasked = {"check_capacity": False, "oversize": "send"}
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), **change}, **unasked) as trip:
            with pytest.raises(Refused) as caught:
                await trip.submit()
            assert caught.value.status == code

    go(check())
    assert bench.accepted(PRODUCE) == 0


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("switches", [{"reused_payment": "refused"}, {"max_lines": 1}], ids=str)
def test_a_second_order_may_be_refused(bench: Bench, error_http: str, switches: dict[str, Any]) -> None:
    """A used payment, or too many lines: the provider says no, and why."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, **switches)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            with pytest.raises(Refused, match="402"):
                await trip.submit()

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
def test_a_forbidden_payment_is_not_about_the_key(bench: Bench, error_http: str) -> None:
    """The session is accepted, so its key is: this order alone is refused, and others go on in the same session."""
    unpaid = (PRODUCE.reference,)
    bench.sim.set_switches("unique_tokens", unpaid=unpaid, payment_code=403, error_http=error_http)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            with pytest.raises(Refused, match=r"Payment not confirmed.*the session itself is accepted"):
                await trip.submit()
            session = bench.notes.recall("unique_tokens", "session")
            assert session is not None
            bench.sim.set_switches("unique_tokens", unpaid=())
            await trip.submit()
            assert bench.notes.recall("unique_tokens", "session") == session
        async with bench.trip(PRODUCE, forbidden="key") as trip:
            bench.sim.set_switches("unique_tokens", unpaid=unpaid, payment_code=403)
            with pytest.raises(Unauthorized):
                await trip.submit()

    go(check())
    assert bench.accepted(PRODUCE) == 1


# --- downloads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("without_seed", [True, False])
@pytest.mark.parametrize("seed", [SEED, None])
@pytest.mark.parametrize("rule", ["plain", "seed_before", "seed_after", "hmac"])
def test_every_digest_rule_is_recognized(
    bench: Bench, rule: str, seed: str | None, without_seed: bool, length: bool
) -> None:
    """How the seed enters is documented nowhere; without digests a file is unverified, not corrupt."""
    bench.sim.set_switches(
        "unique_tokens", digest_rule=rule, filehashes_without_seed=without_seed, data_content_length=length
    )

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "seed": seed}) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            content, found = await trip.fetch(last.artifacts[0])
            promised = last.artifacts[0].sha256
            if seed is None:
                assert found is (DigestRule.PLAIN if without_seed else None)
                return
            assert found == DigestRule(rule)
            salt = seed.encode()
            assert (
                promised
                == {
                    "plain": hashlib.sha256(content).hexdigest(),
                    "seed_before": hashlib.sha256(salt + content).hexdigest(),
                    "seed_after": hashlib.sha256(content + salt).hexdigest(),
                    "hmac": hmac.new(salt, content, hashlib.sha256).hexdigest(),
                }[rule]
            )

    go(check())


@pytest.mark.parametrize("switches", [{}, {"hash_gzip": True}], ids=str)
def test_a_digest_that_no_rule_gives_is_a_mismatch(bench: Bench, switches: dict[str, Any]) -> None:
    """A wrong digest, and one of the compressed file: said aloud, never taken for unverified."""
    bench.sim.set_switches("unique_tokens", **switches)
    if not switches:
        bench.sim.plan("unique_tokens", PRODUCE.reference, wrong_digest=True)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            with pytest.raises(DigestMismatch):
                await trip.fetch(last.artifacts[0])

    go(check())


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"abc\n" * 999 + b"abc", None),
        (b"abc\n" * 1000, SizeMismatch),
        (b"abc\n" * 998 + b"abc", SizeMismatch),
        (b"abc " * 999 + b"abc", LineCountMismatch),
        (b"", SizeMismatch),
    ],
    ids=["whole", "newline at the end", "a line short", "one line", "empty"],
)
def test_downloads_are_checked_by_size_and_lines(content: bytes, error: type[ArtifactError] | None) -> None:
    """One newline between lines, none after the last; the content type says JSON and is ignored."""

    def answer(seen: Seen) -> bytes:
        if seen.path.endswith("/data"):
            return http(200, content, {"Content-Type": "application/json; charset=utf-8"})
        return http(200, record(size="1000", filesizes={"data": 3999}, filehashes=None))

    async def check() -> None:
        async with scripted(opening(answer)) as server, client("unique_tokens", server.url) as provider:
            operation = provider.operation("produce")
            trip = _trip(operation)
            seen = await trip.observe()
            assert seen.artifacts[0].sha256 is None
            if error is None:
                assert (await trip.fetch(seen.artifacts[0])) == (content, None)
            else:
                with pytest.raises(error):
                    await trip.fetch(seen.artifacts[0])

    go(check())


def _trip(operation: Any) -> Trip:
    """A job whose line exists already."""
    return Trip(PRODUCE, operation, None, dict(INTENT), None, {"remote_id": LINE})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["cut_body", "reset", "reset_after", "500", "429", "401"])
@pytest.mark.parametrize("length", [True, False])
def test_a_download_that_breaks_can_be_repeated(bench: Bench, kind: Any, length: bool) -> None:
    """A chunked file that ends too early, and every other trouble, is an error; the next try brings it whole."""
    bench.sim.set_switches("unique_tokens", data_content_length=length)
    body = {**bench.body(PRODUCE), "digits": 20, "size": 50_000}

    async def check() -> None:
        async with bench.trip(PRODUCE, body) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            bench.sim.fault("unique_tokens", kind, operation="data")
            with pytest.raises(ProviderError):
                await trip.fetch(last.artifacts[0])
            bench.sim.clear_faults()
            content, _ = await trip.fetch(last.artifacts[0])
            assert len(content) == 1_049_999

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [401, 403])
def test_a_download_in_a_dead_session_gives_the_session_up(bench: Bench, error_http: str, code: int) -> None:
    """An error document is no file, even under HTTP 200; the next try opens another session."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, session_code=code, session_lifetime_seconds=5000)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            bench.clock.advance(5000)
            before = bench.notes.recall("unique_tokens", "session")
            with pytest.raises(Busy, match="session"):
                await trip.fetch(last.artifacts[0])
            assert bench.notes.recall("unique_tokens", "session") is None
            with pytest.raises(ProviderError):
                await trip.fetch(last.artifacts[0])  # the line belongs to the old session
            assert bench.notes.recall("unique_tokens", "session") not in (None, before)

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [403, 404, 409, 425])
def test_a_download_that_is_refused_keeps_a_living_session(bench: Bench, error_http: str, code: int) -> None:
    """The same code may mean the file: the session holds other lines, and is not given up for it."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, early_download_code=code)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            before = bench.notes.recall("unique_tokens", "session")
            link = f"/api/tokens/{trip.job.receipt['remote_id']}/data"  # type: ignore[index]
            with pytest.raises(ProviderError):
                await trip.fetch(Artifact(name="tokens.txt", link=link))
            assert bench.notes.recall("unique_tokens", "session") == before
            finished(PRODUCE, await trip.watch())

    go(check())


@pytest.mark.parametrize("content", [b"{}\n{}", b'{"errors": []}', b'{"a": 1}', b"{" * 100_000, b"{\n" * 40_000])
def test_a_file_that_only_looks_like_json_is_a_file(content: bytes) -> None:
    """Braces may be in an alphabet; nothing is lost at the seam."""

    async def check() -> None:
        async with (
            scripted(opening(lambda _: http(200, content))) as server,
            client("unique_tokens", server.url) as provider,
        ):
            found, _ = await _trip(provider.operation("produce")).fetch(Artifact(name="tokens.txt", link="/d"))
            assert found == content

    go(check())


@pytest.mark.parametrize("link", ["//evil.example/data", "http://user@127.0.0.1/x", "https://evil.example/data"])
def test_a_link_to_a_foreign_host_gets_no_session_key(link: str) -> None:
    """Only the session was asked for, at the own host."""

    async def check() -> None:
        async with scripted(opening(lambda _: http(200))) as server, client("unique_tokens", server.url) as provider:
            with pytest.raises(ForeignHost):
                await _trip(provider.operation("produce")).fetch(Artifact(name="tokens.txt", link=link))
            assert [seen.path for seen in server.seen] == ["/api/sessions"]

    go(check())


# --- read `size` back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "scaled"), [(17476, False), (17477, True), (100_000, True)])
def test_a_size_may_have_been_scaled_down(bench: Bench, size: int, scaled: bool) -> None:
    """The size of the answer counts, for the file and for the caller."""
    body = {**bench.body(PRODUCE), "alphabet": "DICE", "digits": 20, "size": size}

    async def check() -> None:
        async with bench.trip(PRODUCE, body, oversize="send") as trip:
            await trip.submit()
            last = finished(PRODUCE, await trip.watch())
            assert (last.result["size"], last.result["scaled_down"]) == (17476, scaled)
            assert last.artifacts[0].lines == 17476
            await trip.fetch(last.artifacts[0])

    go(check())


# --- never repeat a POST; sessions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("links", [True, False])
def test_locate_finds_the_line_among_others(bench: Bench, links: bool) -> None:
    """By payment, alphabet and digits; the list needs no links."""
    bench.sim.set_switches("unique_tokens", list_carries_links=links)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            for ident in ("pi_other1", "pi_other2"):
                other = {**bench.body(PRODUCE), "payment": {"id": "t", "ident": ident}}
                async with bench.trip(PRODUCE, other) as another:
                    await another.submit()
            assert (await trip.locate()).receipt is None
            receipt = await trip.submit()
            assert (await trip.locate()).receipt == receipt
            trip.intent["digits"] = 13
            assert (await trip.locate()).receipt is None

    go(check())


@pytest.mark.parametrize(
    "data",
    [None, {}, [None, 3, [], "x"], [{"id": LINE}], [{"attributes": [], "relationships": {"payment": None}}]],
    ids=str,
)
def test_locate_reads_a_list_of_any_shape(data: object) -> None:
    """Nothing is found in rubbish, and nothing is called absent."""

    async def check() -> None:
        async with (
            scripted(opening(lambda _: http(200, {"data": data}))) as server,
            client("unique_tokens", server.url) as provider,
        ):
            located = await provider.operation("produce").locate(None, INTENT)
            assert (located.receipt, located.absent) == (None, False)

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_a_dead_session_is_replaced(bench: Bench, end: str, code: int, error_http: str) -> None:
    """The call that noticed was not carried out; the next one opens a session and goes on."""
    bench.sim.set_switches("unique_tokens", session_code=code, error_http=error_http)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            provider = trip.operation.provider
            old = await provider.session()
            if end == "revoked":
                keys = {"Api-Key": provider.key, "Session-Key": old}
                await provider.http.call("DELETE", f"/api/sessions/{old}", headers=keys)
            else:
                bench.sim.set_switches("unique_tokens", session_lifetime_seconds=60)
                bench.clock.advance(60)
            with pytest.raises(Busy) as caught:
                await trip.submit()
            assert caught.value.may_have_arrived is False
            assert old not in str(caught.value)
            await trip.submit()
            assert await provider.session() != old

    go(check())
    assert bench.accepted(PRODUCE) == 1


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_line_of_another_session_does_not_cost_our_session(bench: Bench, code: int, error_http: str) -> None:
    """The code for an unknown id may be that of a dead session: the session's own list tells them apart."""
    bench.sim.set_switches("unique_tokens", unknown_id_code=code, error_http=error_http)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            receipt = await trip.submit()
            session = bench.notes.recall("unique_tokens", "session")
            trip.receipt = {"remote_id": LINE}
            with pytest.raises((Refused, NotFound)):
                await trip.observe()
            assert bench.notes.recall("unique_tokens", "session") == session
            trip.receipt = receipt
            finished(PRODUCE, await trip.watch())

    go(check())


def test_a_refusal_is_not_believed_while_the_session_cannot_be_asked(bench: Bench) -> None:
    """Neither the session nor the order is given up."""

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            session = await trip.operation.provider.session()
            bench.sim.fault("unique_tokens", "401", operation="post_tokens")
            bench.sim.fault("unique_tokens", "500", operation="list_tokens")
            with pytest.raises(Busy, match="could not be asked"):
                await trip.submit()
            assert bench.notes.recall("unique_tokens", "session") == session

    go(check())


@pytest.mark.parametrize("kind", ["500", "reset", "reset_after", "cut_body", "rubbish"])
def test_a_session_that_cannot_be_opened_leaves_no_doubt(bench: Bench, kind: Any) -> None:
    """Whatever became of the session, the order itself never left: it may be sent again."""
    bench.sim.fault("unique_tokens", kind, operation="open_session")

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            with pytest.raises(TransientError) as caught:
                await trip.submit()
            assert type(caught.value) is NotSent
            bench.sim.clear_faults()
            await trip.submit()

    go(check())
    assert bench.accepted(PRODUCE) == 1


def test_a_wrong_api_key_stops_the_provider(bench: Bench) -> None:
    """403 to the opening of a session is about the key."""

    async def check() -> None:
        async with client("unique_tokens", bench.sim.base_urls["unique_tokens"], key="unknown-key") as provider:
            for error_http in ("true", "as_success"):
                bench.sim.set_switches("unique_tokens", error_http=error_http)
                with pytest.raises(Unauthorized):
                    await provider.operation("produce").locate(None, INTENT)

    go(check())


def test_a_bundle_of_jobs_opens_one_session(bench: Bench) -> None:
    """All at the same time, with none held."""

    async def check() -> None:
        async with bench.provider("unique_tokens") as provider:
            keys = await asyncio.gather(*(provider.session() for _ in range(20)))
            assert len(set(keys)) == 1

    go(check())
    assert bench.count(PRODUCE, "open_session") == {"201": 1}


@pytest.mark.parametrize("kind", [None, "500", "reset"])
def test_a_worker_that_was_slower_revokes_its_session(bench: Bench, kind: Any) -> None:
    """The session in force is used by all; that the other cannot be revoked is no harm."""
    if kind:
        bench.sim.fault("unique_tokens", kind, operation="revoke_session")

    async def check() -> None:
        async with bench.provider("unique_tokens") as one, bench.provider("unique_tokens") as two:
            keys = await asyncio.gather(one.session(), two.session())
            assert len(set(keys)) == 1

    go(check())
    assert bench.count(PRODUCE, "open_session") == {"201": 2}
    assert sum(bench.count(PRODUCE, "revoke_session").values()) >= 1


@pytest.mark.parametrize("shown", [None, "", 7, [SESSION], "a b", "../x"], ids=str)
def test_a_session_or_line_without_a_usable_id_is_a_bad_answer(shown: object) -> None:
    """Neither is guessed."""
    with pytest.raises(BadAnswer) as caught:
        go(ordered({"data": {"id": shown}}))
    assert caught.value.may_have_arrived

    async def check() -> None:
        async with (
            scripted(lambda _: http(201, {"data": {"id": shown}})) as server,
            client("unique_tokens", server.url) as provider,
        ):
            with pytest.raises(BadAnswer):
                await provider.session()

    go(check())


# --- failure, and the end of a line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "verdict"), [("word", Verdict.RUNNING), ("stuck", Verdict.RUNNING), ("errors", Unavailable)]
)
def test_a_failed_line_is_never_a_success(bench: Bench, form: str, verdict: Any) -> None:
    """No word of failure is documented, so it goes on until the deadline."""
    bench.sim.set_switches("unique_tokens", failure_form=form)
    bench.sim.plan("unique_tokens", PRODUCE.reference, outcome="failed", duration=10)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            for _ in range(3):
                bench.clock.advance(1000)
                if verdict is Unavailable:
                    with pytest.raises(Unavailable):
                        await trip.observe()
                    continue
                seen = await trip.observe()
                assert (seen.verdict, seen.known) == (verdict, form == "stuck")

    go(check())


@pytest.mark.parametrize("shown", ["gone", "record"])
def test_a_dismantled_line_has_failed_or_is_unknown(bench: Bench, shown: str) -> None:
    """Its files can never come any more."""
    bench.sim.set_switches("unique_tokens", deleted_line=shown)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            receipt = await trip.submit()
            await trip.operation.provider.call("DELETE", f"/api/tokens/{receipt['remote_id']}")
            if shown == "gone":
                with pytest.raises(NotFound):
                    await trip.observe()
            else:
                seen = await trip.observe()
                assert (seen.verdict, seen.message) == (Verdict.FAILED, "the line was dismantled")

    go(check())


@pytest.mark.parametrize(
    "switches",
    [
        {"check_media_type": True},
        {"finish_seconds": 0},
        {"second_part_new_id": True},
        {"analyzed": "instead"},
        {"list_carries_links": True},
        {"undersize_code": 406, "bad_value_code": 400},
        {"session_lifetime_seconds": 1e6},
    ],
    ids=str,
)
@pytest.mark.parametrize("snapshot", [False, True])
def test_success_under_every_switch(bench: Bench, switches: dict[str, Any], snapshot: bool) -> None:
    """None of these choices changes the way of an order."""
    bench.sim.set_switches("unique_tokens", **switches)

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "snapshot": snapshot}) as trip:
            await trip.submit()
            last = (await trip.watch())[-1]
            assert last.verdict is Verdict.SUCCEEDED
            assert len(last.artifacts) == 1 + snapshot
            for artifact in last.artifacts:
                assert (await trip.fetch(artifact))[1] is DigestRule.SEED_BEFORE

    go(check())
