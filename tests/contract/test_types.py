"""Answers whose JSON has the wrong types: every node of every real answer is replaced by everything else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from providers.answer import Answer
from providers.base import Located, Observation, Provider, Verdict
from providers.errors import BadAnswer, PermanentError, ProviderError, TransientError
from providers.unique_tokens.alphabets import Alphabets

from .bench import CERTIFY, CONVERT, DECLARE, DELETE, PRODUCE, WAYS, Bench, Trip, Way, go, named

ways = pytest.mark.parametrize("way", WAYS, ids=named)

GONE = object()

#: What must be right before a job may be called done, as the path in the answer.
DECISIVE: dict[Way, tuple[tuple[str, ...], ...]] = {
    DECLARE: (("status",),),
    CERTIFY: (("result", "status"), ("result", "hash"), ("result",)),
    PRODUCE: (("data", "attributes", "status"), ("links",), ("data",), ("data", "attributes")),
    CONVERT: (("payload", "status"), ("payload",)),
    DELETE: (("payload", "status"), ("payload",)),
}

WHOLE = [
    b"",
    b"null",
    b"[]",
    b"[{}]",
    b"{}",
    b"0",
    b"true",
    b'"text"',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"status": NaN}',
    b"\xef\xbb\xbf{}",
    b"\xff",
    b"9" * 5000,
]


def deep(levels: int = 200) -> Any:
    """A list in a list in a list."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything inside a document."""
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for key, item in inside:
        yield (*path, key)
        yield from nodes(item, (*path, key))


def others(value: Any) -> Iterator[Any]:
    """What may stand there instead."""
    yield from (None, [], {}, "", "text", 0, -1, 1e308, 10**400, True, False, "\ud800", "x" * 5000)
    yield from ([value], {"a": value}, deep(), GONE)
    if isinstance(value, int | float):
        yield str(value)
    elif isinstance(value, str) and value.isdecimal():
        yield int(value)


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at this place."""
    made = copy.deepcopy(document)
    place = made
    for key in path[:-1]:
        place = place[key]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


class Tape:
    """Records the answers of a provider's calls, and plays them back, one of them spoilt."""

    def __init__(self, provider: Provider) -> None:
        self.http: Any = provider.http
        self._real = provider.http.call
        self.answers: list[Answer] = []
        self._left: list[Answer] = []
        self.http.call = self._record

    async def _record(self, *args: Any, **options: Any) -> Answer:
        answer = await self._real(*args, **options)
        self.answers.append(answer)
        return answer

    async def _play(self, *_: Any, **__: Any) -> Answer:
        # Whoever asks more than before gets an empty page, so that nobody asks for ever.
        return self._left.pop(0) if self._left else Answer(404, {}, b"")

    def take(self) -> list[Answer]:
        """The answers since the last take."""
        taken, self.answers = self.answers, []
        return taken

    def play(self, answers: list[Answer]) -> None:
        """Give these answers, one after the other."""
        self._left = list(answers)
        self.http.call = self._play


def spoilt(answers: list[Answer]) -> Iterator[tuple[tuple[Any, ...], Any, list[Answer]]]:
    """Each way in which one of the answers can have a wrong type: its place, what stands there, all answers."""
    for position, answer in enumerate(answers):
        document = json.loads(answer.body)
        for path in nodes(document):
            original: Any = document
            for key in path:
                original = original[key]
            for value in others(original):
                if type(value) is type(original) and value == original:
                    continue
                body = json.dumps(replaced(document, path, value)).encode()
                yield path, value, [*answers[:position], Answer(answer.status, {}, body), *answers[position + 1 :]]
        for body in WHOLE:
            yield (), body, [*answers[:position], Answer(answer.status, {}, body), *answers[position + 1 :]]


def check_observation(seen: Observation) -> None:
    """Its fields have the types that they are declared with, and can be stored."""
    assert isinstance(seen, Observation)
    assert seen.word is None or (isinstance(seen.word, str) and len(seen.word) <= 60)
    assert seen.message is None or (isinstance(seen.message, str) and len(seen.message) <= 400)
    assert seen.progress is None or (type(seen.progress) is int and 0 <= seen.progress <= 100)
    json.dumps(dict(seen.result), allow_nan=False).encode()
    for artifact in seen.artifacts:
        assert isinstance(artifact.name, str)
        for text in (artifact.link, artifact.sha256, artifact.seed):
            assert text is None or isinstance(text, str)
        for number in (artifact.size, artifact.lines):
            assert number is None or type(number) is int


def check_receipt(receipt: Mapping[str, Any]) -> None:
    """It has a handle, and can be stored."""
    assert isinstance(receipt["remote_id"], str)
    assert 0 < len(receipt["remote_id"]) < 600
    assert len(json.dumps(receipt, allow_nan=False)) < 2000


async def ready(trip: Trip) -> None:
    """Wait until the job is done, without a look."""
    trip.clock.advance(3000)


@ways
def test_a_submission_is_accepted_or_in_doubt(bench: Bench, way: Way) -> None:
    """No wrong type in an acceptance crashes, nor says that the request may simply be sent again."""

    async def check() -> int:
        number = 0
        async with bench.trip(way) as trip:
            provider = trip.operation.provider
            if way is PRODUCE:  # what comes before the order
                await trip.operation.prepare(trip.request)  # type: ignore[attr-defined]
            tape = Tape(provider)
            await trip.submit()
            for path, value, answers in spoilt(tape.take()):
                number += 1
                trip.forget()  # of the spoilt answer before
                tape.play(answers)
                doubtful, refused = True, False
                try:
                    check_receipt(await trip.operation.submit(trip.request, trip.intent))
                except TransientError as error:
                    doubtful = error.may_have_arrived
                except PermanentError:
                    refused = True
                assert doubtful, (path, value)
                # LettrLabs says with these that a record, or all of them, were refused; the others never do.
                meant = way.provider == "lettrlabs" and path and path[0] in ("errors", "hasErrors", "payload")
                assert not refused or meant, (path, value)
        return number

    assert go(check()) > 60


@ways
def test_an_observation_has_its_types(bench: Bench, way: Way) -> None:
    """No wrong type in a status crashes, and none in a decisive place is taken for success."""

    async def check() -> int:
        number = 0
        async with bench.trip(way) as trip:
            await trip.submit()
            await ready(trip)
            tape = Tape(trip.operation.provider)
            assert (await trip.observe()).verdict is Verdict.SUCCEEDED
            for path, value, answers in spoilt(tape.take()):
                number += 1
                tape.play(answers)
                try:
                    seen = await trip.observe()
                except ProviderError:
                    continue
                check_observation(seen)
                # An array of one result is allowed, and only there.
                if path in DECISIVE[way] and not (path == ("result",) and isinstance(value, list)):
                    assert seen.verdict is not Verdict.SUCCEEDED, (path, value)
                # Who only confirms a success does not decide it.
                decided = seen.verdict is Verdict.SUCCEEDED and seen.result.get("confirmed") is not False
                assert path or not decided, value
        return number

    assert go(check()) > 100


@ways
def test_locate_finds_decides_nothing_or_says_absent(bench: Bench, way: Way) -> None:
    """No wrong type in what is looked up crashes."""

    async def check() -> int:
        number = 0
        async with bench.trip(way) as trip:
            receipt = await trip.submit()
            tape = Tape(trip.operation.provider)
            trip.lose()
            assert (await trip.locate()).receipt is not None
            for path, value, answers in spoilt(tape.take()):
                number += 1
                trip.lose()
                tape.play(answers)
                try:
                    located = await trip.locate()
                except ProviderError:
                    continue
                assert isinstance(located, Located)
                if located.receipt is not None:
                    check_receipt(located.receipt)
                    other = path and path[-1] in ("id", "primary_version_id", "payload", "result", 0, "data")
                    assert located.receipt["remote_id"] == receipt["remote_id"] or other, (path, value)
        return number

    assert go(check()) > 60


def test_a_session_is_opened_or_not(bench: Bench) -> None:
    """No wrong type in the grant of a session crashes."""

    async def check() -> None:
        async with bench.provider("unique_tokens") as provider:
            tape = Tape(provider)
            held = await provider.session()
            for _, _, answers in spoilt(tape.take()):
                bench.notes.forget("unique_tokens", "session", held)
                tape.play(answers)
                try:
                    held = await provider.session()
                except BadAnswer:
                    assert bench.notes.recall("unique_tokens", "session") is None
                assert isinstance(held, str)

    go(check())


@pytest.mark.parametrize("chars", [None, "ABCDEF0123"])
def test_an_alphabet_is_one_or_the_order_never_left(bench: Bench, chars: str | None) -> None:
    """No wrong type in what an alphabet can give crashes, leaves a doubt, or costs anything."""

    async def check() -> int:
        number = 0
        body = {**bench.body(PRODUCE), "alphabet": "mine" if chars else "UPPER_HEX", "chars": chars}
        async with bench.trip(PRODUCE, body) as trip:
            operation: Any = trip.operation
            await operation.provider.session()
            tape = Tape(operation.provider)
            await operation.prepare(trip.request)
            for path, value, answers in spoilt(tape.take()[-1:]):
                number += 1
                operation.provider.alphabets = Alphabets(operation.provider, mark=True, ask=True)
                tape.play(answers)
                try:
                    await operation.submit(trip.request, trip.intent)
                    left = True  # no answer to the order is on the tape
                except TransientError as error:
                    left = error.may_have_arrived
                except PermanentError:  # the order met the end of the tape, or the alphabet has other characters
                    left = False
                assert not left, (path, value)
        return number

    assert go(check()) > 60
    assert bench.count(PRODUCE) == {}


def test_a_link_to_a_certificate_is_one_or_none(bench: Bench) -> None:
    """No wrong type in the answer that names the link crashes."""

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            await ready(trip)
            seen = await trip.observe()
            tape = Tape(trip.operation.provider)
            await trip.fetch(seen.artifacts[0])
            for path, value, answers in spoilt(tape.take()):
                tape.play(answers)
                try:
                    assert (await trip.fetch(seen.artifacts[0]))[0].startswith(b"%PDF"), (path, value)
                except ProviderError:
                    continue

    go(check())
