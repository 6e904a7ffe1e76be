"""CommonsDB: the identifier of a declaration is computed before the POST (contract commonsdb 8)."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.commonsdb import cid_v1
from providers.errors import BadAnswer
from simulator import samples

from .bench import DECLARE, Bench, client, finished, go, job_of, request_of
from .commonsdb import declaration
from .server import http, scripted


def identifier_of(text: str) -> str:
    """The identifier of a serialized object, computed in another way than the client does."""
    number = int("010c1220" + hashlib.sha256(text.encode()).hexdigest(), 16)
    letters = ""
    while number:
        letters = "abcdefghijklmnopqrstuvwxyz234567"[number & 31] + letters
        number >>= 5
    return letters


@pytest.mark.parametrize(
    ("metadata", "identifier"),
    [
        ({"a": 1, "b": 2}, "bbqjcaqzfrt7xqp7hanwyuqydh6bqvx6gb3adoobeonkivr2cxcecsj3x"),
        ({"iscc": "ISCC:ABC", "name": "demo"}, "bbqjcbutvpgdlzp6rw3kxqavahjygpfb4gxynt7xwydppqa7fjk6a35lj"),
        ({"b": 2.0, "a": 1.0}, "bbqjcaqzfrt7xqp7hanwyuqydh6bqvx6gb3adoobeonkivr2cxcecsj3x"),
    ],
)
def test_identifier_has_the_check_values_of_the_contract(metadata: dict[str, Any], identifier: str) -> None:
    """Contract 2.7, whatever the order of the keys."""
    assert cid_v1(metadata) == identifier


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e21, "1e+21"),
        (123456789012345680000.0, "123456789012345680000"),
        (2**60, "1152921504606847000"),
        (1e-6, "0.000001"),
        (1.5e-5, "0.000015"),
        (1e-7, "1e-7"),
        (-1.25e-9, "-1.25e-9"),
        (5e-324, "5e-324"),
        (1.5e300, "1.5e+300"),
        (-0.0, "0"),
        (100.0, "100"),
        (0.1, "0.1"),
        (True, "true"),
        (None, "null"),
        ('é\u2028\n"', '"é\u2028\\n\\""'),
        ([], "[]"),
        ({}, "{}"),
        ([{"x": 1, "a": [2.0]}], '[{"a":[2]}]'),
    ],
    ids=str,
)
def test_identifier_is_that_of_the_text_that_javascript_writes(value: object, text: str) -> None:
    """Numbers, texts, and keys that occur at top level only."""
    assert cid_v1({"a": value}) == identifier_of(f'{{"a":{text}}}')


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.sampled_from("abc@$é𝄞"), max_size=2), inner),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(st.sampled_from("abc@$é𝄞"), max_size=2), _json, max_size=5))
def test_identifier_is_what_the_other_side_computes(metadata: dict[str, Any]) -> None:
    """The simulator's own computation agrees on any object."""
    assert cid_v1(metadata) == samples.cid_v1(metadata)


def test_identifier_is_in_the_intent_and_the_returned_one_counts(bench: Bench) -> None:
    """Known before the POST; should the service answer another one, that one is polled."""
    bench.sim.fault("commonsdb", "wrong_digest", operation="declare")

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            public = trip.request.body["declarationMetadata"]["publicMetadata"]
            assert trip.intent == {"identifier": samples.cid_v1(public), "iscc": public["iscc"]}
            receipt = await trip.submit()
            assert receipt["remote_id"] != trip.intent["identifier"]
            assert finished(DECLARE, await trip.watch()).result["identifier"] == receipt["remote_id"]

    go(check())


@pytest.mark.parametrize("shown", [None, "", 7, ["bbqjc"], "../status", "a" * 600, "a@b.example"], ids=str)
def test_identifier_that_is_none_leaves_the_declaration_in_doubt(bench: Bench, shown: object) -> None:
    """Accepted, but under no usable name: the computed one is asked for next."""
    body = {"declaration": declaration(bench)}

    async def check() -> None:
        async with scripted(lambda _: http(202, {"cidV1": shown})) as server, client("commonsdb", server.url) as cdb:
            operation = cdb.operation("declare")
            request = request_of(operation, body)
            with pytest.raises(BadAnswer):
                await operation.submit(request, operation.intent(request, "order-1"))

    go(check())


def test_identifier_is_an_opaque_part_of_the_path() -> None:
    """Case is kept, and no character of it reaches another path."""

    async def check() -> None:
        absent = http(404, b"Not found")
        async with scripted(lambda _: absent) as server, client("commonsdb", server.url) as provider:
            operation = provider.operation("declare")
            for identifier in ("bbqjCAQz", "../declare?x=1#", "é"):
                await operation.observe(job_of(DECLARE, {}, {"remote_id": identifier}))
            assert [seen.path for seen in server.seen] == [
                "/v1/status/bbqjCAQz",
                "/v1/status/..%2Fdeclare%3Fx=1%23",
                "/v1/status/%C3%A9",
            ]

    go(check())
