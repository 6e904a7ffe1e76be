"""CommonsDB: what its client must get right (contract commonsdb 8), and the switches it may trip over."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.clock import ManualClock
from providers.base import Verdict
from providers.commonsdb import CommonsDBSettings, cid_v1
from providers.errors import BadAnswer, LostAnswer, Refused, TransientError, Unauthorized
from simulator import samples
from tests.ledgers import fresh_ledger

from .bench import DECLARE, Bench, Trip, client, finished, go, job_of, request_of
from .server import Seen, http, scripted


def identifier_of(text: str) -> str:
    """The identifier of a serialized object, computed in another way than the client does."""
    number = int("010c1220" + hashlib.sha256(text.encode()).hexdigest(), 16)
    letters = ""
    while number:
        letters = "abcdefghijklmnopqrstuvwxyz234567"[number & 31] + letters
        number >>= 5
    return letters


def declaration(bench: Bench, **more: Any) -> dict[str, Any]:
    """A signed declaration of now."""
    return samples.declaration(**{"name": "Harbour", "now_ms": round(bench.clock() * 1000), **more})


async def observed(status: object, *, code: int = 200) -> Any:
    """What the client makes of this answer to a status call."""
    async with scripted(lambda _: http(code, status)) as server, client("commonsdb", server.url) as provider:
        return await provider.operation("declare").observe(job_of(DECLARE, {}, {"remote_id": "bbqjc"}))


# --- compute and store the identifier before the POST --------------------------------------------------------------


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


# --- decide on `status` only ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "verdict", "known"),
    [
        ({"status": "pending", "message": "success"}, Verdict.RUNNING, True),
        ({"status": "success", "message": "failed", "updatedAtDateTime": "never"}, Verdict.SUCCEEDED, True),
        ({"status": "failed", "message": "Declaration processed successfully"}, Verdict.FAILED, True),
        ({"status": "completed"}, Verdict.RUNNING, False),
        ({"status": "Success"}, Verdict.RUNNING, False),
        ({"status": "success "}, Verdict.RUNNING, False),
        ({"status": 200, "message": "success"}, Verdict.RUNNING, False),
        ({"status": ["success"]}, Verdict.RUNNING, False),
        ({"status": None}, Verdict.RUNNING, False),
        ({"type": "https://httpproblems.com/http-status/401", "status": 401}, Verdict.RUNNING, False),
        ({}, Verdict.RUNNING, False),
    ],
)
def test_only_the_status_text_decides(answer: dict[str, Any], verdict: Verdict, known: bool) -> None:
    """Exactly three words are known; anything else goes on running."""
    found = go(observed(answer))
    assert (found.verdict, found.known) == (verdict, known)


def test_a_status_of_another_identifier_says_nothing() -> None:
    """An answer that names another declaration is not ours."""
    with pytest.raises(BadAnswer):
        go(observed({"identifier": "another", "status": "success"}))


def test_failed_is_no_proof_that_the_declaration_does_not_exist(bench: Bench) -> None:
    """A later run may overwrite it (contract 3.3): polling stops, and the message says to look once more."""
    bench.sim.set_switches("commonsdb", failed_then_success_seconds=30)
    bench.sim.plan("commonsdb", "Harbour", outcome="failed", duration=1)

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            bench.clock.advance(2)
            failed = await trip.observe()
            assert failed.verdict is Verdict.FAILED
            assert "storage write refused" in (failed.message or "")
            assert "look once more" in (failed.message or "")
            bench.clock.advance(30)
            assert (await trip.observe()).verdict is Verdict.SUCCEEDED

    go(check())


# --- poll at 2 to 5 s ----------------------------------------------------------------------------------------------


def test_poll_window_and_deadline_are_those_of_the_service() -> None:
    """2 to 5 s (seed page), and a deadline beyond the service's own stale rule of 75 min."""
    chosen = CommonsDBSettings()
    assert (chosen.poll_minimum, chosen.poll_maximum) == (2.0, 5.0)
    assert chosen.deadline >= 75 * 60


def test_the_stale_rule_ends_a_pending_declaration(bench: Bench) -> None:
    """After an hour the service gives up by itself."""
    bench.sim.plan("commonsdb", "Harbour", duration=1e6)

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            assert (await trip.watch(step=600))[-1].verdict is Verdict.FAILED

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


@pytest.mark.parametrize(
    "switches",
    [
        {"declare_code": 200},
        {"declare_code": 201},
        {"declare_code": 202},
        {"tracking_delayed": True, "not_found_seconds": 4},
        {"foreign_word": "processing"},
        {"content_type": "text/plain"},
        {"content_type": "text/html; charset=latin-1"},
        {"date_times": False},
        {"repeat_resets": False},
        {"version": "9.9", "env": "prod"},
        {"metadata_shape": "full", "findable_after_seconds": 60},
    ],
    ids=str,
)
def test_success_under_every_switch(bench: Bench, switches: dict[str, Any]) -> None:
    """None of these choices changes the way of a declaration."""
    bench.sim.set_switches("commonsdb", **switches)
    bench.sim.plan("commonsdb", "Harbour", duration=20)

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            seen = await trip.watch(step=3)
            finished(DECLARE, seen)
            assert len(seen) > 3

    go(check())


@pytest.mark.parametrize("window", [0, 12])
def test_no_status_record_yet_is_not_an_end(bench: Bench, window: float) -> None:
    """404 right after the acceptance means running, with a message."""
    bench.sim.set_switches("commonsdb", not_found_seconds=window)

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            first = await trip.observe()
            assert first.verdict is Verdict.RUNNING
            assert (first.message == "no status record yet") is (window > 0)
            finished(DECLARE, await trip.watch())

    go(check())


def test_a_not_found_answer_that_is_not_the_apis_own_decides_nothing() -> None:
    """A proxy's page costs a poll; it does not say that there is no record."""
    with pytest.raises(BadAnswer):
        go(observed(b"", code=404))
    assert go(observed({"error": "Not found", "message": "no record"}, code=404)).verdict is Verdict.RUNNING


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


def test_an_unavailable_status_is_transient(bench: Bench) -> None:
    """A look-up that broke says nothing of the declaration."""
    bench.sim.fault("commonsdb", "500", operation="status")

    async def check() -> None:
        async with bench.trip(DECLARE) as trip:
            await trip.submit()
            with pytest.raises(TransientError):
                await trip.observe()

    go(check())


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


@pytest.mark.parametrize(("age", "gone"), [(299, False), (301, True)])
def test_a_declaration_without_a_record_is_given_up_only_when_it_is_too_old(bench: Bench, age: int, gone: bool) -> None:
    """A 404 long after the signature means that it never arrived, and never can: the caller must sign anew."""
    body = bench.body(DECLARE)
    signed = body["declaration"]["declarationMetadata"]["publicMetadata"]["timestamp"] / 1000
    notes = fresh_ledger(ManualClock(signed + age))

    async def check() -> None:
        async with client(
            "commonsdb", bench.sim.base_urls["commonsdb"], key=bench.sim.keys["commonsdb"], notes=notes
        ) as p:
            operation = p.operation("declare")
            request = request_of(operation, body)
            located = await operation.locate(request, operation.intent(request, "order-1"))
            assert (located.receipt, located.absent, bool(located.gone)) == (None, False, gone)

    go(check())
