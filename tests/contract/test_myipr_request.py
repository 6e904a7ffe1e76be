"""What Settle makes up for the caller of a certificate: name, size in kilobytes, category."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from jobs.clock import ManualClock
from jobs.errors import InvalidJob
from providers.errors import Busy, LostAnswer, NotSent, ProviderError, Refused, Unauthorized
from providers.myipr import MyIPRSettings
from providers.myipr.categories import KEPT
from providers.myipr.request import CertifyRequest, derived_name, kilobytes
from simulator import samples
from tasks.intake import validate
from tests.ledgers import fresh_ledger

from .bench import CERTIFY, Bench, client, finished, go
from .server import Seen, http, scripted

HASH = samples.sha256_of("Harbour")
LEGAL = {"category": "Legal", "hash": HASH, "size_bytes": 1_104_000}
CREATED = http(201, {"status": 201, "result": {"versionId": "v-1", "fileId": "f-1"}})


async def sent(body: dict[str, Any], *, job_id: str = "order-1", **settings: Any) -> dict[str, Any]:
    """The body of the POST to /create."""
    async with scripted(lambda _: CREATED) as server, client("myipr", server.url, **settings) as provider:
        operation = provider.operation("certify")
        request = operation.request.model_validate(body)
        await operation.submit(request, operation.intent(request, job_id))
        return dict(json.loads(server.seen[0].body))


# --- the name ------------------------------------------------------------------------------------------------------


def test_a_name_is_made_up_and_the_same_each_time(bench: Bench) -> None:
    """From the hash and the job's id, so that another worker, or a person, finds the certificate by it."""
    body = {key: value for key, value in bench.body(CERTIFY).items() if key != "name"}

    async def check() -> None:
        async with bench.trip(CERTIFY, body) as first, bench.trip(CERTIFY, body) as again:
            assert first.intent == again.intent
            receipt = await first.submit()
            located = await again.locate()
            assert located.receipt is not None
            assert located.receipt["remote_id"] == receipt["remote_id"]
        async with bench.trip(CERTIFY, body, job_id="another-job") as other:
            assert other.intent["name"] != first.intent["name"]
            with pytest.raises(Refused):  # the hash is taken, and the certificate is not this job's own
                await other.submit()

    go(check())


@pytest.mark.parametrize("job_id", ["a", "x" * 200, "Ada Example's file?", "../..", "ada@example.test"], ids=ascii)
@pytest.mark.parametrize("prefix", ["settle-", "A", "x" * 17])
def test_a_made_up_name_keeps_the_rules(job_id: str, prefix: str) -> None:
    """Short enough for the weak hint of the contract, plain characters, nothing of the job's id."""
    name = derived_name(prefix, HASH, job_id)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,49}", name)
    assert name.startswith(f"{prefix}{HASH[:16]}-")
    assert len(job_id) == 1 or job_id not in name
    assert CertifyRequest.model_validate({**LEGAL, "name": name}).name == name


def test_the_prefix_is_a_setting(bench: Bench) -> None:
    """An account that several applications share."""
    bench.sim.set_switches("myipr", name_max_length=50)
    body = {key: value for key, value in bench.body(CERTIFY).items() if key != "name"}

    async def check() -> None:
        async with bench.trip(CERTIFY, body, name_prefix="Harbour archive-") as trip:
            await trip.submit()
            assert trip.intent["name"].startswith("Harbour archive-")

    go(check())
    for prefix in ("", " a", "x" * 18, "ä", "a/"):
        with pytest.raises(ValueError):
            MyIPRSettings(name_prefix=prefix)


def test_a_lost_answer_is_found_by_a_made_up_name(bench: Bench) -> None:
    """The request was processed, its answer never came: one certificate, adopted."""
    body = {key: value for key, value in bench.body(CERTIFY).items() if key != "name"}
    bench.sim.fault("myipr", "reset_after", operation="create", times=1)

    async def check() -> None:
        async with bench.trip(CERTIFY, body) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            assert (await trip.locate()).receipt is not None
            finished(CERTIFY, await trip.watch())

    go(check())
    assert bench.accepted(CERTIFY) == 1


# --- the size ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "of_1024", "of_1000"),
    [
        (1, "1", "1"),
        (1000, "1", "1"),
        (1001, "1", "2"),
        (1024, "1", "2"),
        (1025, "2", "2"),
        (2**40, "1073741824", "1099511628"),
    ],
)
def test_bytes_become_whole_kilobytes(size: int, of_1024: str, of_1000: str) -> None:
    """Rounded up: no file has size 0."""
    assert (kilobytes(size, 1024), kilobytes(size, 1000)) == (of_1024, of_1000)


def test_how_long_a_kilobyte_is_is_a_setting() -> None:
    """And what the caller gives in kilobytes is sent as it is."""
    body = {**LEGAL, "category": None, "category_id": "10"}
    assert go(sent(body))["size"] == "1079"
    assert go(sent(body, kilobyte=1000))["size"] == "1104"
    assert go(sent({**body, "size_bytes": None, "size": "1078.125"}))["size"] == "1078.125"


def test_a_file_becomes_hash_and_size() -> None:
    """What the measure stage leaves is a request again, and a file was checked at the trigger already."""
    given = {"category": "Legal", "file": "a/b"}
    validate(CertifyRequest, (), given)
    from providers.myipr import Certify

    body = Certify.measured(given, HASH, 12)
    assert body == {"category": "Legal", "hash": HASH, "size_bytes": 12}
    validate(CertifyRequest, (), body)
    with pytest.raises(InvalidJob, match="hash: "):
        validate(CertifyRequest, (), {**body, "file": "a/b"})


# --- the category --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switches", "settings"),
    [
        ({}, {}),
        ({"categories_key": "results"}, {}),
        ({"categories_id_type": "string"}, {}),
        ({"categories_method": "POST"}, {"categories_method": "POST"}),
        ({"categories_method": "POST", "http_code": "always_200"}, {"categories_method": "POST"}),
        ({"categories_fields": ("categoryId", "title")}, {"categories_id": "categoryId", "categories_name": "title"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["Legal", "legal", " LEGAL "])
def test_a_category_is_found_by_its_name(
    bench: Bench, switches: dict[str, Any], settings: dict[str, Any], name: str
) -> None:
    """However the list is written, where the settings say so."""
    bench.sim.set_switches("myipr", **switches)

    async def check() -> None:
        async with bench.trip(CERTIFY, {**LEGAL, "category": name, "name": "Harbour"}, **settings) as trip:
            await trip.submit()
            seen = await trip.operation._version(trip.job.receipt["remote_id"])  # type: ignore[attr-defined, index]
            assert seen["category"] == {"id": 10, "name": "Legal"}
            finished(CERTIFY, await trip.watch())

    go(check())


def test_an_unknown_category_lists_the_known_ones(bench: Bench) -> None:
    """Nothing is sent, and the caller's own text is not quoted."""

    async def check() -> None:
        async with bench.trip(CERTIFY, {**LEGAL, "category": "Private matter"}) as trip:
            with pytest.raises(Refused, match=r"^category: ") as refused:
                await trip.submit()
            for name in ("Art", "Legal", "Music", "Photography", "Software"):
                assert name in str(refused.value)
            assert "Private matter" not in str(refused.value)

    go(check())
    assert bench.count(CERTIFY) == {}


@pytest.mark.parametrize(
    ("switches", "settings", "variable"),
    [
        ({"categories_method": "POST"}, {}, "SETTLE_MYIPR__CATEGORIES_METHOD"),
        ({"categories_method": "POST", "http_code": "always_200", "error_shape": "hint"}, {}, "CATEGORIES_METHOD"),
        ({}, {"categories_method": "POST"}, "SETTLE_MYIPR__CATEGORIES_METHOD"),
        ({"categories_fields": ("categoryId", "name")}, {}, "SETTLE_MYIPR__CATEGORIES_ID"),
        ({"categories_fields": ("id", "title")}, {}, "SETTLE_MYIPR__CATEGORIES_NAME"),
    ],
    ids=str,
)
def test_a_list_that_is_other_than_assumed_names_the_setting(
    bench: Bench, switches: dict[str, Any], settings: dict[str, Any], variable: str
) -> None:
    """And the way without it: `category_id`."""
    bench.sim.set_switches("myipr", **switches)

    async def check() -> None:
        async with bench.trip(CERTIFY, LEGAL, **settings) as trip:
            with pytest.raises(Refused, match=variable) as refused:
                await trip.submit()
            assert "category_id" in str(refused.value)

    go(check())
    assert bench.count(CERTIFY) == {}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("500", NotSent),
        ("reset", NotSent),
        ("rubbish", NotSent),
        ("cut_body", NotSent),
        ("429", Busy),
        ("503", Busy),
        ("401", Unauthorized),
    ],
)
def test_a_list_that_cannot_be_read_leaves_no_doubt(bench: Bench, kind: Any, error: type[ProviderError]) -> None:
    """Only a look was lost, not a submission: the job may be sent later without asking."""
    bench.sim.fault("myipr", kind, operation="categories", retry_after=7)

    async def check() -> None:
        async with bench.trip(CERTIFY, LEGAL) as trip:
            with pytest.raises(error) as caught:
                await trip.submit()
            assert getattr(caught.value, "may_have_arrived", False) is False
            bench.sim.clear_faults()
            await trip.submit()

    go(check())
    assert bench.accepted(CERTIFY) == 1


def listing(names: list[dict[str, Any]]) -> Any:
    """A server with these categories, that certifies everything."""
    answers = {"/categories": http(200, {"status": 200, "result": names})}
    return lambda seen: answers.get(seen.path, CREATED)


def asked(seen: list[Seen]) -> int:
    """How often the list was asked for."""
    return sum(each.path == "/categories" for each in seen)


def test_the_list_is_asked_for_once_and_kept_for_a_while() -> None:
    """By all workers together; a name that is not in it asks anew, and so does an hour."""
    clock = ManualClock()
    notes = fresh_ledger(clock)

    async def check() -> None:
        async with scripted(listing([{"id": 10, "name": "Legal"}])) as server:
            for _ in range(2):  # two workers
                async with client("myipr", server.url, notes=notes) as provider:
                    found = await asyncio.gather(*(provider.categories.id_of("Legal") for _ in range(20)))  # type: ignore[attr-defined]
                    assert set(found) == {"10"}
            assert asked(server.seen) == 1
            async with client("myipr", server.url, notes=notes) as provider:
                with pytest.raises(Refused):
                    await provider.categories.id_of("Unheard of")  # type: ignore[attr-defined]
                assert asked(server.seen) == 2
                clock.advance(KEPT - 1)
                assert await provider.categories.id_of("Legal") == "10"  # type: ignore[attr-defined]
                assert asked(server.seen) == 2
                clock.advance(1)
                assert await provider.categories.id_of("Legal") == "10"  # type: ignore[attr-defined]
                assert asked(server.seen) == 3
            async with client("myipr", server.url, notes=notes) as provider:
                assert await provider.categories.id_of("Legal") == "10"  # type: ignore[attr-defined]
                assert asked(server.seen) == 3

    go(check())


def test_a_new_category_is_found_although_the_list_is_kept() -> None:
    """Nobody waits an hour for it."""
    names = [{"id": 10, "name": "Legal"}]
    notes = fresh_ledger()

    async def check() -> None:
        async with (
            scripted(lambda seen: listing(names)(seen)) as server,
            client("myipr", server.url, notes=notes) as provider,
        ):
            assert await provider.categories.id_of("Legal") == "10"  # type: ignore[attr-defined]
            names.append({"id": 11, "name": "New"})
            assert await provider.categories.id_of("New") == "11"  # type: ignore[attr-defined]
            assert await provider.categories.id_of("Legal") == "10"  # type: ignore[attr-defined]
            assert asked(server.seen) == 2

    go(check())


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        ([{"id": 1, "name": "Art"}, {"id": 2, "name": "ART"}], "ART", "2"),
        ([{"id": 1, "name": "Art"}, {"id": 2, "name": "ART"}], "art", None),
        ([{"id": 1, "name": "Art"}, {"id": 2, "name": "Art"}], "Art", None),
        ([{"id": 1, "name": "Art"}, {"id": 1, "name": "Art"}], "Art", "1"),
        ([{"id": True, "name": "Art"}, {"id": 3, "name": "Art"}], "Art", "3"),
        ([{"id": None, "name": "Art"}, {"id": "a/b", "name": "Art"}, {"id": "c-1", "name": " Art "}], "Art", "c-1"),
        ([{"id": 1, "name": 7}, {"id": 2}, {"name": "Art"}, {"id": 3, "name": " "}], "Art", None),
    ],
    ids=str,
)
def test_a_name_must_mean_one_category(names: list[dict[str, Any]], wanted: str, found: str | None) -> None:
    """The exact spelling goes first; what is no id or no name is left out."""

    async def check() -> None:
        async with scripted(listing(names)) as server, client("myipr", server.url) as provider:
            if found is not None:
                assert await provider.categories.id_of(wanted) == found  # type: ignore[attr-defined]
                return
            with pytest.raises(Refused, match=r"^category: "):
                await provider.categories.id_of(wanted)  # type: ignore[attr-defined]

    go(check())


def test_a_long_list_is_cut_and_scrubbed() -> None:
    """A refusal is a sentence, not a page, and quotes nobody's address."""
    names = [{"id": number, "name": f"Kind {number:03}"} for number in range(100)]
    names.append({"id": 900, "name": "About ada@example.test"})

    async def check() -> None:
        async with scripted(listing(names)) as server, client("myipr", server.url) as provider:
            with pytest.raises(Refused, match="and 61 more") as refused:
                await provider.categories.id_of("None of them")  # type: ignore[attr-defined]
            assert "ada@" not in str(refused.value)
            assert await provider.categories.id_of("About ada@example.test") == "900"  # type: ignore[attr-defined]

    go(check())
