"""CommonsDB: what is sent of a signed declaration, and which refusals are final."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.errors import BadAnswer, LostAnswer, Refused, Unauthorized
from simulator import samples

from .bench import DECLARE, Bench, Trip, client, finished, go, job_of, request_of
from .commonsdb import declaration
from .server import Seen, http, scripted

# --- one clock rule, and rebuilding means a new identifier ---------------------------------------------------------


@pytest.mark.parametrize(("shift", "text"), [(-61.5, "61.5 s behind"), (90, "90 s ahead of")])
def test_clock_skew_is_measured_by_the_refusal(bench: Bench, shift: float, text: str) -> None:
    """The 400 carries the server's clock; the refusal says by how much the timestamp is off."""

    async def check() -> None:
        late = declaration(bench, now_ms=round((bench.clock() + shift) * 1000))
        async with bench.trip(DECLARE, {"declaration": late}) as trip:
            with pytest.raises(Refused, match=text):
                await trip.submit()

    go(check())


def test_an_old_body_is_never_called_absent(bench: Bench) -> None:
    """After a lost answer only a record proves anything: sending the same body again is the caller's to decide."""
    bench.sim.set_switches("commonsdb", not_found_seconds=10)
    bench.sim.fault("commonsdb", "reset_after", operation="declare")

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            bench.sim.clear_faults()
            located = await trip.locate()
            assert (located.receipt, located.absent) == (None, False)
            bench.clock.advance(11)
            assert (await trip.locate()).receipt == {"remote_id": trip.intent["identifier"]}

    go(check())
    assert bench.accepted(DECLARE) == 1


@pytest.mark.parametrize(
    "answer",
    [b"<html>Sign in</html>", {}, [], {"status": 200}, {"identifier": "another", "status": "pending"}],
    ids=str,
)
def test_locate_believes_only_a_status_record(bench: Bench, answer: object) -> None:
    """A page of somebody in between, with HTTP 200, is no proof that the declaration was accepted."""

    async def check() -> None:
        async with scripted(lambda _: http(200, answer)) as server, client("commonsdb", server.url) as provider:
            operation = provider.operation("declare")
            request = request_of(operation, {"declaration": declaration(bench)})
            with pytest.raises(BadAnswer):
                await operation.locate(request, operation.intent(request, "order-1"))

    go(check())


# --- serialize nested objects in one order -------------------------------------------------------------------------


def test_body_is_sent_as_it_was_signed(bench: Bench) -> None:
    """Key order, unknown keys, whole floats and texts reach the service unchanged."""
    body = declaration(bench, registry=True, zebra={"b": 1, "a": [1.0, {"d": None, "c": "é"}]}, original="x")

    async def check() -> None:
        async with scripted(lambda _: http(202, {"cidV1": "bbqjc"})) as server, client("commonsdb", server.url) as cdb:
            operation = cdb.operation("declare")
            request = request_of(operation, {"declaration": body})
            await operation.submit(request, operation.intent(request, "order-1"))
            seen = server.seen[0]
            assert json.dumps(json.loads(seen.body)) == json.dumps(body)
            assert (seen.method, seen.path) == ("POST", "/v1/declare")
            assert seen.headers["content-type"] == "application/json"
            assert seen.headers["authorization"].startswith("Bearer ")

    go(check())


def test_a_registry_block_and_extra_keys_are_accepted(bench: Bench) -> None:
    """The signatures still fit after the client had the body in its hands."""
    bench.sim.set_switches("commonsdb", compare_registry_claims=True)

    async def check() -> None:
        body = {"declaration": declaration(bench, registry=True, supplierData={"b": 1, "a": 2.5})}
        async with bench.trip(DECLARE, body) as trip:
            assert (await trip.submit())["remote_id"] == trip.intent["identifier"]
            finished(DECLARE, await trip.watch())

    go(check())


# --- never works, try again, ask first -----------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"iscc": "ISCC:AAAA"}, "HTTP 422"),
        ({"declarerId": "did:key:zSomebodyElse"}, "DeclarerId mismatch"),
        ({"version": 0}, "declarationMetadata.publicMetadata.version"),
        ({"$schema": "https://w3id.org/liccium/schema/0.2.0.json"}, "$schema"),
        ({"$schema": "https://w3id.org/commonsdb/schema/0.1.0.json"}, "$schema"),
        ({"description": "not what was signed"}, "Signature content mismatch"),
    ],
)
def test_a_refusal_is_permanent_and_names_the_field(
    bench: Bench, change: dict[str, Any], fragment: str, as_json: bool
) -> None:
    """400 and 422 never work again; the fields are named, their values are not."""
    bench.sim.set_switches("commonsdb", text_errors_as_json=as_json)
    body = declaration(bench)
    body["declarationMetadata"]["publicMetadata"].update(change)
    if "description" not in change and "iscc" not in change:
        body = declaration(bench, **change)

    async def check() -> None:
        async with bench.provider("commonsdb") as provider:
            operation = provider.operation("declare")
            request = request_of(operation, {"declaration": declaration(bench)})
            request._body = body
            with pytest.raises(Refused) as caught:
                await operation.submit(request, operation.intent(request, "order-1"))
            assert caught.value.status in (400, 422)
            if "iscc" not in change:
                assert fragment in str(caught.value)
            assert "SomebodyElse" not in str(caught.value)
            assert "not what was signed" not in str(caught.value)

    go(check())


@pytest.mark.parametrize("shape", ["problem", "text"])
@pytest.mark.parametrize("code", [401, 403])
def test_a_wrong_key_stops_the_provider(bench: Bench, shape: str, code: int) -> None:
    """401 and 403 are about the key, in whatever shape they come, on every call."""
    bench.sim.set_switches("commonsdb", auth_error_shape=shape, declarer_missing_code=code)

    async def check() -> None:
        async with client("commonsdb", bench.sim.base_urls["commonsdb"], key="another-key") as provider:
            operation = provider.operation("declare")
            request = request_of(operation, bench.body(DECLARE))
            intent = operation.intent(request, "order-1")
            with pytest.raises(Unauthorized):
                await operation.submit(request, intent)
            with pytest.raises(Unauthorized):
                await operation.locate(request, intent)
            with pytest.raises(Unauthorized):
                await operation.observe(job_of(DECLARE, intent, {"remote_id": "x"}))

    go(check())


@pytest.mark.parametrize(
    "body",
    [
        b"Invalid request body",
        {"error": "no", "message": None},
        {"error": ["no"], "message": {"a": 1}, "validationErrors": "no", "mismatches": None},
        {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "so"},
        {"validationErrors": [None, 3, {"a": 1}, "no colon at all here", "name: Ines is no name"]},
        {"serverTime": "now", "providedTimestamp": None},
        {"serverTime": True, "providedTimestamp": [1]},
        {"existingSupersededBy": {"a": 1}},
    ],
    ids=lambda body: repr(body)[:30],
)
@pytest.mark.parametrize("status", [400, 422])
def test_error_bodies_are_parsed_defensively(bench: Bench, body: object, status: int) -> None:
    """Any of the three shapes, and any rubbish, is a refusal that quotes no value."""

    async def check() -> None:
        async with scripted(lambda _: http(status, body)) as server, client("commonsdb", server.url) as provider:
            operation = provider.operation("declare")
            request = request_of(operation, bench.body(DECLARE))
            with pytest.raises(Refused) as caught:
                await operation.submit(request, operation.intent(request, "order-1"))
            assert caught.value.status == status
            assert str(caught.value).startswith(f"HTTP {status}")
            assert "Ines" not in str(caught.value)

    go(check())


@pytest.mark.parametrize("body", [b"", [], None, b"[" * 100_000, {"message": "no"}], ids=lambda body: repr(body)[:30])
@pytest.mark.parametrize("status", [400, 422])
def test_an_error_in_no_documented_form_is_no_refusal(bench: Bench, body: object, status: int) -> None:
    """It may come from something in between, so the declaration is in doubt."""

    async def check() -> None:
        async with scripted(lambda _: http(status, body)) as server, client("commonsdb", server.url) as provider:
            operation = provider.operation("declare")
            request = request_of(operation, bench.body(DECLARE))
            with pytest.raises(BadAnswer):
                await operation.submit(request, operation.intent(request, "order-1"))

    go(check())


def test_problem_details_tell_their_title() -> None:
    """The gateway's shape has other names for the text."""

    async def check() -> Refused:
        detail = {"type": "about:blank", "title": "Payload too odd", "status": 400, "detail": "see there"}
        async with scripted(lambda _: http(400, detail)) as server, client("commonsdb", server.url) as provider:
            operation = provider.operation("declare")
            request = request_of(operation, {"declaration": samples.declaration(name="x")})
            with pytest.raises(Refused) as caught:
                await operation.submit(request, operation.intent(request, "order-1"))
            return caught.value

    assert str(go(check())) == "HTTP 400: Payload too odd; see there"


# --- supersedes ----------------------------------------------------------------------------------------------------


def test_a_refusal_as_superseded_by_ourselves_is_done(bench: Bench) -> None:
    """The first attempt was processed: the repeat is refused with our own identifier, which counts as accepted."""

    async def check() -> None:
        async with bench.trip(DECLARE) as first:
            await first.submit()
            finished(DECLARE, await first.watch())
        successor = {"declaration": declaration(bench, name="Harbour II", supersedes=first.intent["identifier"])}
        async with bench.trip(DECLARE, successor) as second:
            receipt = await second.submit()
            bench.clock.advance(20)
            assert await second.submit() == receipt
            finished(DECLARE, await second.watch())
        other = {"declaration": declaration(bench, name="Harbour III", supersedes=first.intent["identifier"])}
        async with bench.trip(DECLARE, other) as third:
            with pytest.raises(Refused, match="already superseded"):
                await third.submit()

    go(check())
    assert bench.count(DECLARE) == {"202": 2, "422": 2}


def test_superseding_a_pending_declaration_is_refused(bench: Bench) -> None:
    """Only after the older one is `success`."""

    async def check() -> None:
        async with bench.trip(DECLARE) as first:
            await first.submit()
        successor = {"declaration": declaration(bench, name="Harbour II", supersedes=first.intent["identifier"])}
        async with bench.trip(DECLARE, successor) as second:
            with pytest.raises(Refused, match="not found"):
                await second.submit()

    go(check())


# --- switches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [False, True])
def test_both_schema_addresses_pass_our_own_checks(bench: Bench, accepted: bool) -> None:
    """The portal allows /liccium/, the server source does not: the service decides."""
    bench.sim.set_switches("commonsdb", accept_liccium_urls=accepted)
    addresses = {f"{sign}": f"https://w3id.org/liccium/{sign[1:]}/0.2.0.json" for sign in ("$schema", "@context")}

    async def check(trip: Trip) -> None:
        if accepted:
            assert (await trip.submit())["remote_id"]
        else:
            with pytest.raises(Refused):
                await trip.submit()

    async def main() -> None:
        async with bench.trip(DECLARE, {"declaration": declaration(bench, **addresses)}) as trip:
            await check(trip)

    go(main())


def test_declaring_twice_with_one_body_is_one_declaration(bench: Bench) -> None:
    """The same body has the same identifier: no second record can come of it."""

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            assert await trip.submit() == await trip.submit()

    go(check())
    assert len(bench.sim.account()["commonsdb"].jobs) == 1


def test_every_call_names_the_key_as_bearer() -> None:
    """And asks for JSON."""

    async def check() -> list[Seen]:
        async with (
            scripted(lambda _: http(404, b"Not found")) as server,
            client("commonsdb", server.url, key=" the-key\n") as provider,
        ):
            await provider.operation("declare").observe(job_of(DECLARE, {}, {"remote_id": "x"}))
            return server.seen

    (seen,) = go(check())
    assert seen.headers["authorization"] == "Bearer the-key"
    assert seen.headers["accept"] == "application/json"
