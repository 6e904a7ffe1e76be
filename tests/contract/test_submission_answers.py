"""What each answer to a submission means, for all APIs: the table of docs/reliability.md, cell by cell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from providers.base import Provider
from providers.errors import PermanentError, ProviderError, TransientError, Unauthorized

from .bench import CAPACITY, CERTIFY, CONVERT, DECLARE, PRODUCE, Way, client, go, request_of
from .server import Seen, http, never, nobody, scripted
from .test_ways import OPENED, body_for

PAGE = Path(__file__).parents[2] / "docs/reliability.md"
HEAD = "| answer to a submission | commonsdb | myipr | unique_tokens | lettrlabs |"
WAYS = {way.provider: way for way in (DECLARE, CERTIFY, PRODUCE, CONVERT)}

#: Errors in forms that each API documents.
OWN: dict[str, list[object]] = {
    "commonsdb": [{"error": "No", "message": "no"}, {"type": "about:blank", "title": "No", "status": 400}],
    "myipr": [{"status": 400, "message": "no"}, {"message": "no", "errorField": "name", "customErrorNumber": -2}],
    "unique_tokens": [{"errors": [{"title": "No", "detail": "no"}], "links": {"self": "/"}}],
    "lettrlabs": [{"payload": None, "hasErrors": True, "errors": ["no"]}, [{"reasonCode": "no"}]],
}
HTML = b"<html><body>no</body></html>"
#: Forms of proxies, gateways and frameworks, which none of the four documents.
OTHER: list[object] = [HTML, b"", b"no", {"message": "Forbidden"}, {"fault": {"code": "x"}}, "no", b"\xff\xfe{"]

Answers = Iterator[bytes | Callable[[Seen], Awaitable[bytes | None]] | None]


def own(provider: str, *codes: int) -> Answers:
    """Each code in each form of the API's own."""
    return (http(code, form) for code in codes for form in OWN[provider])


def other(provider: str, *codes: int) -> Answers:
    """Each code in each form that is not the API's; a key may be refused in many forms, but never by a page."""
    many = [HTML] if provider == "lettrlabs" and set(codes) <= {401, 403} else OTHER
    return (http(code, form, {"Location": "/elsewhere"}) for code in codes for form in many)


#: The codes that say no to a request, and one that nobody has given a meaning.
REFUSALS = (400, 402, 404, 405, 406, 407, *range(409, 419), *range(421, 427), 428, 431, 451, 499)
OUTAGES = (*range(500, 512), *range(520, 531), 598, 599)


ROWS: dict[str, Callable[[str], Answers]] = {
    "the connection is lost, or the answer is late or cut off": lambda _: iter(
        [None, never, http(200, {"a": 1})[:-3], b"HTTP/1.1 200 OK\r\n", b"nonsense\r\n\r\n"]
    ),
    "2xx without a receipt": lambda _: (http(code, form) for code in (200, 201, 202, 204) for form in (b"", HTML, {})),
    "3xx": lambda name: (
        answer for code in (300, 301, 302, 303, 304, 307, 308) for answer in [*own(name, code), *other(name, code)]
    ),
    "401 in the API's own form": lambda name: own(name, 401),
    "403 in the API's own form": lambda name: own(name, 403),
    "429": lambda name: iter([*own(name, 429), *other(name, 429)]),
    "another 4xx in the API's own form": lambda name: own(name, *REFUSALS),
    "408, or any 4xx in another form": lambda name: iter(
        [*own(name, 408), *other(name, 408), *other(name, 401, 403), *other(name, *REFUSALS)]
    ),
    "5xx": lambda name: iter(
        [answer for code in OUTAGES for answer in [*own(name, code), http(code, HTML, {"Retry-After": "7"})]]
    ),
}


def meaning(outcome: object) -> str:
    """How the submit stage takes what became of a submission."""
    if isinstance(outcome, Unauthorized):
        return "key"
    if isinstance(outcome, PermanentError):
        return "refused"
    if isinstance(outcome, TransientError):
        return "doubt" if outcome.may_have_arrived else "repeat"
    return f"receipt {outcome}"


def table() -> dict[str, dict[str, str]]:
    """The page's table: the cells of each row, by API."""
    lines = PAGE.read_text().split(HEAD)[1].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]]
    return {row[0]: dict(zip(WAYS, row[1:], strict=True)) for row in rows}


async def submitted(provider: Provider, way: Way) -> str:
    """Submit once; tells what it meant."""
    operation = provider.operation(way.operation)
    request = request_of(operation, body_for(way))
    try:
        receipt: Any = await operation.submit(request, operation.intent(request, "order-1"))
    except ProviderError as error:
        return meaning(error)
    return meaning(receipt)


def test_the_page_has_every_row() -> None:
    """Each row of the page is tried here, and each row here is on the page."""
    assert set(table()) == {*ROWS, "no connection"}


@pytest.mark.parametrize("name", WAYS)
def test_without_a_connection_nothing_left(name: str) -> None:
    """The first row."""

    async def check() -> str:
        async with nobody() as url, client(name, url) as provider:
            return await submitted(provider, WAYS[name])

    assert go(check()) == table()["no connection"][name] == "repeat"


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", WAYS)
def test_an_answer_means_what_the_page_says(name: str, row: str) -> None:
    """Every code and form of a row, one submission each, sent exactly once."""
    way, shown = WAYS[name], list(ROWS[row](name))

    async def check() -> dict[str, int]:
        sent = 0

        def reply(seen: Seen) -> bytes | Awaitable[bytes | None] | None:
            nonlocal sent
            if seen.path == "/api/sessions":
                return OPENED
            if seen.path.startswith("/api/alphabets/"):
                return http(200, CAPACITY)
            if seen.method == "GET":  # the lists: of the session, of uploads, of files
                return http(200, {"data": [], "status": 200, "result": [], "payload": []})
            sent += 1
            answer = shown[sent - 1]
            return answer(seen) if callable(answer) else answer

        meanings: dict[str, int] = {}
        patience = 0.2 if row.startswith("the connection") else 5.0
        async with scripted(reply) as server, client(name, server.url, read_timeout=patience) as provider:
            for number in range(1, len(shown) + 1):
                found = await submitted(provider, way)
                assert sent == number, "a submission is sent once"
                meanings[found] = meanings.get(found, 0) + 1
        return meanings

    assert go(check()) == {table()[row][name]: len(shown)}


@pytest.mark.parametrize("name", WAYS)
def test_a_status_that_is_known_to_be_turned_away_may_be_repeated(name: str) -> None:
    """A setting, for those who know more of an API than its documentation says."""

    async def check() -> list[str]:
        codes = iter([429, 503, 502])

        def reply(seen: Seen) -> bytes:
            if seen.path == "/api/sessions":
                return OPENED
            return http(200, CAPACITY) if seen.path.startswith("/api/alphabets/") else http(next(codes), HTML)

        async with scripted(reply) as server, client(name, server.url, repeatable_statuses=[429, 503]) as provider:
            return [await submitted(provider, WAYS[name]) for _ in range(3)]

    assert go(check()) == ["repeat", "repeat", "doubt"]
