"""Keys and personal data: nothing that is shown, stored or logged holds any of it, under any trouble."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from jobs.artifacts import Artifact
from jobs.errors import SettleError
from providers.base import Observation, Verdict
from providers.errors import ProviderError, scrub
from providers.transport import AiohttpTransport
from simulator import DEFAULT_KEYS, samples

from .bench import (
    CAPACITY,
    CONVERT,
    DECLARE,
    JOB_ID,
    PRODUCE,
    WAYS,
    Bench,
    Trip,
    Way,
    client,
    go,
    job_of,
    named,
    request_of,
    until,
)
from .server import Seen, http, scripted

ways = pytest.mark.parametrize("way", WAYS, ids=named)

SESSION = "33305508-61c6-4750-a51b-dd68c80198de"
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJuYW1lIjoiSW5lcyJ9.c2hvcnRlbmVk"
PAID = samples.payment()["ident"]

#: What can be known by its looks, wherever it stands.
SECRETS = (
    *DEFAULT_KEYS.values(),
    SESSION,
    TOKEN,
    PAID,
    "deadbeef",
    "ines.moreau@example.org",
    "ops@example.test",
    "ada@example.test",
    "5550100123",
    "555-0100",
    "555 010",
)
#: Names of people look like nothing; they stand in places of their own, of which nothing is quoted.
NAMES = ("Ines", "Moreau", "Ana", "Ops", "Ada", "Sample Road")

PIECES = (
    "mail ines.moreau@example.org",
    "or ops@example.test or <ada@example.test>,",
    "call 5550100123 or +1 (217) 555-0100 or 555 010 0123;",
    f"Bearer {DEFAULT_KEYS['commonsdb']}",
    f"SECRET {DEFAULT_KEYS['myipr']}",
    f"{DEFAULT_KEYS['lettrlabs']}",
    f"Api-Key: {DEFAULT_KEYS['unique_tokens']}",
    f"session {SESSION}",
    f"paid by {PAID}",
    f"token {TOKEN}",
    "see https://storage.example/c.pdf?X-Amz-Signature=deadbeef",
    "or /c.pdf?X-Amz-Signature=deadbeef",
)


def text_from(first: int) -> str:
    """All of it, beginning with this piece: a shown text is cut, and what stands first is shown."""
    turn = first % len(PIECES)
    return " ".join((*PIECES[turn:], *PIECES[:turn]))


TEXT = text_from(0)


class Kept(logging.Handler):
    """Keeps everything that a log record holds."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text, the fields, and the traceback."""
        self.lines.append(f"{record.getMessage()} {record.__dict__}")
        if record.exc_info:
            self.lines.append("".join(traceback.format_exception(*record.exc_info)))


@pytest.fixture
def shown() -> Iterator[list[str]]:
    """All that anybody could read: what the test adds, and every log record down to DEBUG."""
    handler, root = Kept(), logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "httpx", "httpcore", "aiohttp", "asyncio")}
    root.addHandler(handler)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        root.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def tell(shown: list[str], thing: object) -> None:
    """Add a result as people and records see it."""
    if isinstance(thing, BaseException):
        shown += ["".join(traceback.format_exception(thing)), repr(thing), json.dumps(getattr(thing, "__dict__", {}))]
    elif isinstance(thing, Observation):
        fields = dataclasses.asdict(thing)
        # The seed is the caller's own, and never shown; see `Artifact.public`.
        fields["artifacts"] = [{**artifact.public(), "link": artifact.link} for artifact in thing.artifacts]
        shown.append(str(fields))
    else:
        shown.append(str(thing))


def check_clean(shown: list[str], *, names: bool = True) -> None:
    """Nothing of it is there."""
    text = "\n".join(shown)
    for secret in SECRETS:
        assert secret.lower() not in text.lower(), secret
    for name in NAMES if names else ():
        assert not re.search(rf"\b{name}\b", text), name


async def all_of(trip: Trip, shown: list[str]) -> None:
    """Every call of an operation, whatever comes of it."""

    async def attempt(work: Any) -> Any:
        try:
            found = await work
        except ProviderError as error:
            tell(shown, error)
            return None
        tell(shown, found)
        return found

    await attempt(trip.submit())
    await attempt(trip.locate())
    trip.receipt = trip.receipt or {"remote_id": "7"}
    seen = await attempt(trip.observe())
    trip.clock.advance(3000)
    seen = await attempt(trip.observe()) or seen
    artifacts = seen.artifacts if isinstance(seen, Observation) else ()
    for artifact in artifacts or (Artifact(name="file", link="/api/tokens/7/data"),):
        if trip.way.artifacts:
            try:
                await trip.fetch(artifact)
            except SettleError as error:
                tell(shown, error)


@ways
@pytest.mark.parametrize(
    "kind", [None, "401", "429", "500", "503", "reset", "reset_after", "cut_body", "rubbish", "latency", "unknown_word"]
)
def test_nothing_leaks_under_any_fault(
    bench: Bench, shown: list[str], monkeypatch: pytest.MonkeyPatch, way: Way, kind: Any
) -> None:
    """Every call of every operation, with every log record at DEBUG."""
    sent: list[str] = []
    original = AiohttpTransport.handle_async_request

    async def counting(self: AiohttpTransport, request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        return await original(self, request)

    def received() -> int:
        return sum(sum(each.values()) for each in bench.sim.account()[way.provider].requests.values())

    monkeypatch.setattr(AiohttpTransport, "handle_async_request", counting)
    body = bench.body(way)
    if kind is not None:
        word = {"word": TEXT} if kind == "unknown_word" else {}
        bench.sim.fault(way.provider, kind, seconds=0.15, **word)

    async def check() -> None:
        async with bench.trip(way, body, read_timeout=0.1 if kind == "latency" else 5.0) as trip:
            intent = {key: value for key, value in trip.intent.items() if key != "ident"}  # the ident may stand there
            tell(shown, intent)
            await all_of(trip, shown)

    before = received()
    shown.clear()  # the helper's own client writes addresses into the log, as httpx does
    go(check())
    until(lambda: received() - before >= len(sent))  # none may reach the next test
    check_clean(shown)


def bodies(seen: Seen, first: int) -> Iterator[object]:
    """Answers that repeat everything of the request and more, wherever there is a text."""
    planted = text_from(first)
    text = f"{planted} {seen.raw.decode('utf-8', 'replace')}"
    person = {"id": 1, "email": "ops@example.test", "firstName": "Ana", "lastName": "Ops", "first_name": "Ada"}
    yield {"message": planted, "error": planted, "title": planted, "detail": planted, "status": planted}
    yield {"message": seen.raw.decode("utf-8", "replace")[:900], "error": "no"}
    yield {"status": 200, "profile": person, "user": person, "result": {"user": person, "status": planted, "error": {}}}
    yield {"result": {"user": person, "status": "in_progress", "error": {planted: planted, "message": text}}}
    yield {"errors": [{"status": 402, "title": planted, "detail": planted, "source": {"parameter": planted}}]}
    yield {"profile": person, "payload": {"id": 7, "status": planted}, "errors": [text], "hasErrors": True}
    yield {"profile": person, "payload": {"id": 7, "status": planted}, "errors": [], "metadata": {"a": text}}
    yield {
        "validationErrors": [planted, f"{planted}: x", f"name: {text}"],
        "mismatches": [f"a.b: {text}"],
        "message": planted,
    }
    yield text
    yield [text]


@ways
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 422, 429, 500])
def test_nothing_leaks_from_answers_that_repeat_it(shown: list[str], way: Way, status: int) -> None:
    """Whatever the other side writes into a text, a word or a field of ours."""
    body: dict[str, Any] = {"id": 7} if way.operation == "delete" else Bench.body(_Still(), way)  # type: ignore[arg-type]
    number = len(list(bodies(Seen("", "", {}, b"", b""), 0)))

    async def check() -> None:
        turn = 0

        def answer(seen: Seen) -> bytes:
            if seen.path == "/api/sessions":
                return http(201, {"data": {"id": SESSION}})
            if seen.path.startswith("/api/alphabets/") and turn % 2:
                return http(200, CAPACITY)
            return http(status, list(bodies(seen, status + turn))[turn])

        async with scripted(answer) as server, client(way.provider, server.url) as provider:
            operation = provider.operation(way.operation)
            request = request_of(operation, body)
            intent = operation.intent(request, JOB_ID)
            for turn in range(number):  # noqa: B007 (the server reads it)
                for work in (
                    operation.submit(request, intent),
                    operation.locate(request, intent),
                    operation.observe(job_of(way, {**intent, "hash": "a" * 64}, {"remote_id": "7"})),
                ):
                    try:
                        tell(shown, await work)
                    except ProviderError as error:
                        tell(shown, error)

    go(check())
    # A refusal of the other two quotes the provider's own sentence, in which a name cannot be known.
    check_clean(shown, names=way.provider == "lettrlabs")


class _Still:
    """A bench without a simulator."""

    @staticmethod
    def clock() -> float:
        """Some time."""
        return 1_790_000_000.0


@pytest.mark.parametrize("way", [CONVERT, DECLARE], ids=named)
def test_a_failure_that_names_people_is_scrubbed(bench: Bench, shown: list[str], way: Way) -> None:
    """The free text that explains a failed job."""
    bench.sim.plan(way.provider, way.reference, outcome="failed", duration=1, message=TEXT)  # type: ignore[arg-type]

    async def check() -> None:
        for form in ("word", "has_errors", "http_error"):
            bench.sim.set_switches("lettrlabs", failure_form=form)
            async with bench.trip(way) as trip:
                await trip.submit()
                bench.clock.advance(2)
                seen = await trip.observe()
                assert seen.verdict is Verdict.FAILED
                tell(shown, seen)

    bench.sim.set_switches("lettrlabs", repeated_order_id="accepted")
    go(check())
    check_clean(shown)


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines", "nul\0byte", "\ud800"], ids=ascii)
@ways
def test_a_key_that_no_header_can_hold_is_not_quoted(shown: list[str], way: Way, key: str) -> None:
    """The call fails, typed, and says nothing of it."""
    body: dict[str, Any] = {"id": 7} if way.operation == "delete" else Bench.body(_Still(), way)  # type: ignore[arg-type]

    async def check() -> None:
        async with scripted(lambda _: http(404)) as server:
            async with client(way.provider, server.url, key=key) as provider:
                operation = provider.operation(way.operation)
                request = request_of(operation, body)
                with pytest.raises(ProviderError) as caught:
                    await operation.submit(request, operation.intent(request, JOB_ID))
                tell(shown, caught.value)
            assert server.seen == []

    go(check())
    assert key not in "\n".join(shown)


def test_the_payment_stands_in_the_intent_and_nowhere_else(bench: Bench, shown: list[str]) -> None:
    """It is what a lost line is found by."""

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            assert trip.intent["ident"] == PAID
            await all_of(trip, shown)

    go(check())
    check_clean(shown)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("write to ines@example.org now", "write to <email> now"),
        ("o'brien+x@sub.example.co.uk", "<email>"),
        ("ines@localhost", "<email>"),
        ("<ines@example.org>;", "<email>"),
        ("call 5550100123", "call <number>"),
        ("call +49 (0)30 123-456.78!", "call <number>!"),
        ("call 555\u20110100\u00a0123", "call <number>"),
        ("code 402, row 17, 2.5 s", "code 402, row 17, 2.5 s"),
        (f"jwt {TOKEN}.", "jwt <jwt>."),
        ("jwt eyJhbGciOiJFUzI1NiJ9.e30.x", "jwt <jwt>"),
        ("see https://a.example/b?c=d&e=f for", "see https://a.example/b?<query> for"),
        ("see /b?X-Amz-Signature=00", "see /b?<query>"),
        ("see https://a.example/#access_token=00", "see https://a.example/?<query>"),
        ("paid by pi_3PExampleExample00000001_secret_x", "paid by <payment>"),
        ("api_key stays", "api_key stays"),
        ("ll-api-0123 and LL-API-abc-def", "<key> and <key>"),
        ("Authorization: Bearer abcdef123", "Authorization: <key> <key>"),
        ("sent Bearer abcdef123", "sent Bearer <key>"),
        ("sent SECRET abcdef/123==", "sent SECRET <key>"),
        ('"Session-Key":"abc"', '"Session-Key":<key>'),
        (SESSION, "<id>"),
        (SESSION.upper(), "<id>"),
        ("a\nb\tc\r\n  d", "a b c d"),
        ("\x1b[31mred\u202e", "?[31mred?"),
        ("half \ud800 pair", "half ? pair"),
        ("", ""),
    ],
    ids=ascii,
)
def test_scrub_masks_what_looks_personal_or_secret(text: str, clean: str) -> None:
    """And leaves the rest readable."""
    assert scrub(text) == clean


def test_scrub_is_short_quick_and_never_cuts_a_mask() -> None:
    """A text of any length gives one line, in no time that a worker would notice."""
    assert len(scrub("x" * 10_000_000)) == 200
    assert scrub("word " * 100_000, limit=20) == "word word word word…"
    assert "ines" not in scrub("a " * 497 + "ines@example.org", limit=2000)
    assert scrub({"a": 1}) == "{'a': 1}"
    assert scrub(None) == "None"
