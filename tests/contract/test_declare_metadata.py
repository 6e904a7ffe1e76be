"""CommonsDB from plain metadata: signed and stamped here, posted once, made anew only when that is certainly safe."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey
from pydantic import ValidationError

from jobs.errors import ConfigurationError
from jobs.record import Job
from jobs.states import JobState
from providers.base import Verdict
from providers.commonsdb import CommonsDBSettings, cid_v1
from providers.commonsdb.rights import RIGHTS_STATEMENTS
from providers.errors import LostAnswer, NotReady, NotSent, Refused, TransientError
from simulator import DEFAULT_DID, samples, signing, tsa
from simulator.rights import RIGHTS_STATEMENTS as THEIRS

from .bench import DECLARE, JOB_ID, Trip, client, finished, go, request_of
from .desk import FULL, PLAIN, Desk
from .server import Seen, http, nobody, scripted

both = pytest.mark.parametrize("body", [PLAIN, FULL], ids=["metadata", "registry"])

#: Where the real TSA's ASN.1 begins: rubbish of every kind an authority may answer with.
RUBBISH = [b"", b"<html>", b"\x30\x03\x02\x01", tsa.make_rejection()]


def doubtful(trip: Trip, state: JobState = JobState.IN_DOUBT) -> Job:
    """The job of a trip whose submission got no answer."""
    return Job(JOB_ID, "commonsdb", "commonsdb.declare", state, 0.0, 1e12, intent=trip.intent)


# --- what is sent --------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize(
    "switches", [{}, {"compare_registry_claims": True, "declare_code": 200}, {"repeat_resets": False}], ids=str
)
def test_plain_metadata_becomes_an_accepted_and_confirmed_declaration(
    desk: Desk, body: dict[str, Any], algorithm: str, switches: dict[str, Any]
) -> None:
    """Posted once, found under the identifier that was in the intent, and shown to the public."""
    desk.bench.sim.set_switches("commonsdb", **switches)

    async def check() -> None:
        async with desk.trip(body, tsa_hash=algorithm) as trip:
            assert await trip.submit() == {"remote_id": trip.intent["identifier"]}
            last = finished(DECLARE, await trip.watch())
            assert last.result == {"identifier": trip.intent["identifier"], "confirmed": True}

    go(check())
    assert desk.bench.count(DECLARE) in ({"202": 1}, {"200": 1})
    assert desk.bench.sim.account()["tsa"].requests == {"stamp": {"200": 1 if body is PLAIN else 2}}


def sent(answers: list[bytes], desk: Desk, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The body of the POST that metadata becomes, seen by a server that accepts anything."""

    async def check() -> dict[str, Any]:
        async with (
            scripted(lambda _: answers[0]) as server,
            client("commonsdb", server.url, notes=desk.notes, **desk.settings(**more)) as provider,
        ):
            operation = provider.operation("declare")
            request = request_of(operation, body)
            intent = operation.intent(request, JOB_ID)
            await operation.submit(request, intent)
            (seen,) = server.seen
            made = json.loads(seen.body)
            assert cid_v1(made["declarationMetadata"]["publicMetadata"]) == intent["identifier"]
            return made  # type: ignore[no-any-return]

    return go(check())


ACCEPTED = [http(202, {"cidV1": "bbqjc"})]


def test_what_is_sent_holds_what_the_caller_gave_and_what_settle_adds(desk: Desk) -> None:
    """Unknown keys, key order and numbers pass unchanged; null means not given; both blocks have one time."""
    extra = {"zebra": {"b": 1, "a": [1.0, {"d": None, "c": "é"}]}, "redirect": None}
    made = sent(ACCEPTED, desk, {"metadata": {**PLAIN["metadata"], **extra}, "registry": FULL["registry"]})
    public, registry = made["declarationMetadata"].values()
    assert json.dumps(public["zebra"]) == json.dumps(extra["zebra"])
    assert "redirect" not in public
    assert public["timestamp"] == registry["timestamp"] == round(desk.clock.now() * 1000)
    assert public["declarerId"] == DEFAULT_DID
    assert public["credentials"] == [samples.credential()]
    assert public["$schema"] == "https://w3id.org/commonsdb/schema/0.2.0.json"
    assert registry["iscc"] == public["iscc"]
    assert registry["credentials"] == [{"proof": "aaa.bbb.ccc"}]
    assert list(made["declarationMetadata"]) == ["publicMetadata", "commonsDbRegistry"]


def test_the_callers_own_names_go_before_the_settings(desk: Desk) -> None:
    """Schema, context, declarer, credentials, and the registry's ISCC and proofs."""
    own = {
        "$schema": "https://w3id.org/commonsdb/schema/0.3.0.json",
        "@context": "https://w3id.org/commonsdb/context/0.3.0.json",
        "declarerId": "did:key:zOther",
        "credentials": [{"proof": {"jwt": "ddd.eee.fff"}}],
    }
    block = samples.plain_registry(iscc=samples.iscc("part"), credentials=[{"proof": "ggg.hhh.iii"}])
    made = sent(ACCEPTED, desk, {"metadata": {**PLAIN["metadata"], **own}, "registry": block})
    public, registry = made["declarationMetadata"].values()
    assert {name: public[name] for name in own} == own
    assert {name: registry[name] for name in block} == block


def test_signatures_hold_the_public_key_only_and_the_stamps_are_over_them(desk: Desk) -> None:
    """ES256 with `jwk` (contract 2.4); each stamp is over the text of its own JWT (2.5)."""
    made = sent(ACCEPTED, desk, FULL)
    pairs = {
        "signature": ("tsaSignature", "publicMetadata"),
        "commonsDbRegistrySignature": ("commonsDbRegistryTsaSignature", "commonsDbRegistry"),
    }
    for name, (stamp, block) in pairs.items():
        header = json.loads(base64.urlsafe_b64decode(made[name].split(".")[0] + "=="))
        assert set(header) == {"alg", "typ", "jwk"}
        assert (header["alg"], header["typ"], set(header["jwk"])) == ("ES256", "JWT", {"kty", "crv", "x", "y"})
        claims = signing.verify(made[name], desk.clock.now())
        assert json.dumps(claims) == json.dumps(made["declarationMetadata"][block])
        assert tsa.stamp_errors(made[stamp], made[name].encode()) == []
        query = base64.b64decode(made[stamp]["tsq"])
        assert tsa.read_query(query).algorithm == "sha512"


@pytest.mark.parametrize("form", ["jwk", "pem", "pem file", "jwk file"])
def test_the_key_comes_from_a_variable_or_a_file(desk: Desk, tmp_path: Path, form: str) -> None:
    """PEM or JWK; a newline at the end, as files have it, does no harm."""
    key = ECKey.generate_key("P-256", private=True)
    text = key.as_pem(private=True).decode() if "pem" in form else json.dumps(key.as_dict(private=True)) + "\n"
    (tmp_path / "key").write_text(text)
    chosen = {"signing_key": None, "signing_key_file": tmp_path / "key"} if "file" in form else {"signing_key": text}
    made = sent(ACCEPTED, desk, PLAIN, **chosen)
    header = json.loads(base64.urlsafe_b64decode(made["signature"].split(".")[0] + "=="))
    assert header["jwk"]["x"] == key.as_dict(private=False)["x"]


def _keys() -> Iterator[tuple[str, str]]:
    yield "rubbish", "Geheimnis-4711"
    yield "broken JSON", '{"Geheimnis-4711'
    yield "another JSON", '{"kty": "EC", "crv": "P-256", "d": "Geheimnis-4711"}'
    yield "public", json.dumps(ECKey.generate_key("P-256").as_dict(private=False))
    yield "another curve", json.dumps(ECKey.generate_key("P-384", private=True).as_dict(private=True))
    yield "RSA", RSAKey.generate_key(2048, private=True).as_pem(private=True).decode()


KEYS = dict(_keys())


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_that_cannot_sign_is_named_and_not_quoted(desk: Desk, key: str) -> None:
    """The job waits for the operator; the setting is named."""

    async def check() -> None:
        with pytest.raises(ConfigurationError, match="SETTLE_COMMONSDB__SIGNING_KEY: is no private P-256") as caught:
            async with desk.trip(signing_key=key):
                pass
        assert "4711" not in repr(caught.value)
        assert caught.value.__cause__ is None

    go(check())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"signing_key": None}, "SETTLE_COMMONSDB__SIGNING_KEY_FILE or SETTLE_COMMONSDB__SIGNING_KEY"),
        ({"signing_key": None, "signing_key_file": "nowhere.pem"}, "SIGNING_KEY_FILE: cannot be read"),
        ({"declarer_id": None}, "SETTLE_COMMONSDB__DECLARER_ID"),
        ({"credentials_file": None}, "SETTLE_COMMONSDB__CREDENTIALS_FILE"),
        ({"credentials_file": "nowhere.json"}, "CREDENTIALS_FILE"),
    ],
)
def test_what_is_missing_for_signing_is_named(desk: Desk, change: dict[str, Any], named: str) -> None:
    """Before anything is written or sent."""

    async def check() -> None:
        with pytest.raises(ConfigurationError, match=named):
            async with desk.trip(**change):
                pass

    go(check())


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '[{"proof": {"jwt": "a b"}}]', '[{"id": "Geheimnis"}]', "[NaN]", "[" * 100_000]
)
def test_credentials_that_are_none_are_not_quoted(desk: Desk, text: str) -> None:
    """The file is named, and the field in it."""
    desk.credentials.write_text(text)

    async def check() -> None:
        with pytest.raises(ConfigurationError, match="CREDENTIALS_FILE") as caught:
            async with desk.trip():
                pass
        assert "Geheimnis" not in str(caught.value)

    go(check())


def test_a_key_in_two_places_is_refused() -> None:
    """Which one counts would be a guess."""
    with pytest.raises(ValidationError, match="not both"):
        CommonsDBSettings.model_validate({"signing_key": "a", "signing_key_file": "b"})


def test_the_rights_statements_are_those_of_the_schema() -> None:
    """204 addresses, as the simulator has them."""
    assert len(RIGHTS_STATEMENTS) == 204
    assert RIGHTS_STATEMENTS == THEIRS


_VALUES = st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats() | st.text(max_size=8)
_JSON = st.recursive(
    _VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.sampled_from(["metadata", "registry"]),
    name=st.sampled_from([*PLAIN["metadata"], *samples.plain_registry(), "credentials", "supersedes", "timestamp"])
    | st.text(max_size=8),
    value=_JSON,
)
def test_whatever_metadata_is_taken_can_be_signed_and_stored(desk: Desk, where: str, name: str, value: Any) -> None:
    """It is refused with a reason, or has an intent that JSON can hold, and a signature over what is sent."""
    body = copy.deepcopy(FULL)
    body[where][name] = value  # type: ignore[index]

    async def check() -> None:
        async with client("commonsdb", "http://127.0.0.1:9", notes=desk.notes, **desk.settings()) as provider:
            operation = provider.operation("declare")
            try:
                request = request_of(operation, body)
            except ValidationError:
                return
            intent = operation.intent(request, JOB_ID)
            json.dumps(intent, allow_nan=False)
            signer = provider.signer  # type: ignore[attr-defined]
            public = signer.public(request, intent["timestamp"])
            assert cid_v1(json.loads(json.dumps(public))) == intent["identifier"]
            for block in (public, signer.registry(request, public)):
                claims = signing.verify(signer.sign(block), -1e18)
                assert signing.mismatches(claims, json.loads(json.dumps(block))) == []

    go(check())


# --- the window and the server's clock -----------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-3600, -61, 61, 86_400])
def test_the_servers_clock_is_learnt_from_its_refusal(desk: Desk, off: int) -> None:
    """A wrong clock here costs one refusal; what all workers make after it has the server's time."""
    desk.clock.advance(off)

    async def check() -> None:
        async with desk.trip() as trip:
            with pytest.raises(NotReady, match="made anew by that clock") as caught:
                await trip.submit()
            assert caught.value.may_have_arrived is False
        async with desk.trip() as second:  # another worker: it shares the notes only
            assert abs(second.intent["timestamp"] - round(desk.bench.clock() * 1000)) < 1000
            await second.submit()
            desk.clock.advance(-off)  # somebody mends the clock
        async with desk.trip() as third:
            with pytest.raises(NotReady):
                await third.submit()
        async with desk.trip() as fourth:
            await fourth.submit()

    go(check())
    assert desk.bench.count(DECLARE) == {"400": 2, "202": 2}


def test_a_400_without_the_servers_time_is_a_refusal(desk: Desk) -> None:
    """Nothing can be learnt of it, and nothing was accepted."""

    async def check(answer: object) -> None:
        async with (
            scripted(lambda _: http(400, answer)) as server,
            client("commonsdb", server.url, notes=desk.notes, **desk.settings()) as provider,
        ):
            operation = provider.operation("declare")
            request = request_of(operation, PLAIN)
            with pytest.raises(Refused):
                await operation.submit(request, operation.intent(request, JOB_ID))

    for answer in ({"error": "Timestamp validation failed"}, {"serverTime": "now"}, {"serverTime": True}):
        go(check(answer))


def test_a_declaration_that_got_too_old_is_not_sent(desk: Desk) -> None:
    """The process stood still, say, between intent and POST."""

    async def check() -> None:
        async with desk.trip() as trip:
            desk.pass_by(46)
            with pytest.raises(NotReady, match="too old"):
                await trip.submit()

    go(check())
    assert desk.bench.count(DECLARE) == {}


def test_what_is_not_in_the_ledger_is_not_sent(desk: Desk) -> None:
    """Another credential since the intent means another identifier."""

    async def check() -> None:
        async with desk.trip() as trip:
            trip.intent["timestamp"] += 1
            with pytest.raises(NotReady, match="settings changed"):
                await trip.submit()

    go(check())
    assert desk.bench.count(DECLARE) == {}


# --- the time-stamp authority --------------------------------------------------------------------------------------


async def stamped_by(answer: Any, desk: Desk, **more: Any) -> tuple[TransientError, list[Seen]]:
    """The error of a submission whose authority answers so, and what CommonsDB was sent in spite of it."""
    async with (
        scripted(answer) as authority,
        scripted(lambda _: ACCEPTED[0]) as server,
        client("commonsdb", server.url, notes=desk.notes, **desk.settings(tsa_url=authority.url, **more)) as provider,
    ):
        operation = provider.operation("declare")
        request = request_of(operation, FULL)
        with pytest.raises(TransientError) as caught:
            await operation.submit(request, operation.intent(request, JOB_ID))
        for seen in authority.seen:
            assert seen.headers["content-type"] == "application/timestamp-query"
            assert "authorization" not in seen.headers
        return caught.value, server.seen


def _for_another(seen: Seen) -> bytes:
    """The right nonce, the right algorithm, another digest."""
    digest = tsa.read_query(seen.body).digest
    return http(200, tsa.make_reply(seen.body.replace(digest, digest[::-1]), 1.8e9, 1))


def _by_another_hash(seen: Seen) -> bytes:
    """The digest of the same data, but of another algorithm, and the right nonce."""
    made = tsa.make_reply(seen.body, 1.8e9, 1)
    sha512, sha256 = bytes.fromhex("0609608648016503040203"), bytes.fromhex("0609608648016503040201")
    return http(200, made.replace(sha512, sha256))


def _without_nonce(seen: Seen) -> bytes:
    imprint = tsa.read_query(seen.body)
    query = tsa.make_query(b"x", imprint.algorithm)
    replaced = query.replace(tsa.read_query(query).digest, imprint.digest)
    return http(200, tsa.make_reply(replaced, 1.8e9, 1))


#: Everything that an authority may answer instead of a stamp for our query.
NO_STAMPS: dict[str, Any] = {
    **{
        str(status): lambda _, status=status: http(status, b"no") for status in (400, 401, 403, 404, 429, 500, 503, 302)
    },
    **{f"rubbish-{number}": lambda _, body=body: http(200, body) for number, body in enumerate(RUBBISH)},
    "other-data": _for_another,
    "other-hash": _by_another_hash,
    "no-nonce": _without_nonce,
    "closed": lambda _: None,
    "half": lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf",
}


@pytest.mark.parametrize("answer", NO_STAMPS.values(), ids=NO_STAMPS)
def test_trouble_of_the_authority_never_puts_a_job_in_doubt(desk: Desk, answer: Any) -> None:
    """Nothing was left for CommonsDB yet, so the job waits, and CommonsDB's own gate stays open."""
    error, seen = go(stamped_by(answer, desk))
    assert isinstance(error, NotReady)
    assert error.may_have_arrived is False
    assert "authority" in str(error)
    assert seen == []


def test_an_authority_that_is_away_or_silent_is_waited_for(desk: Desk) -> None:
    """Refused connections and silence, within the time that was set."""

    async def silent(_: Seen) -> bytes | None:
        await asyncio.Event().wait()
        return None

    async def away() -> None:
        async with nobody() as url, desk.trip(tsa_url=url) as trip:
            with pytest.raises(NotReady, match="authority"):
                await trip.submit()

    error, seen = go(stamped_by(silent, desk, stamp_within=0.2))
    assert isinstance(error, NotReady)
    assert "no time stamp within 0.2 s" in str(error)
    assert seen == []
    go(away())


def test_the_authoritys_wish_to_be_left_alone_is_the_jobs_own(desk: Desk) -> None:
    """Its Retry-After is kept, but it is not CommonsDB that is busy."""
    error, _ = go(stamped_by(lambda _: http(429, b"", {"Retry-After": "17"}), desk))
    assert error.retry_after == 17


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_than_a_few_are_stamped_at_a_time_by_all_workers(desk: Desk, limit: int) -> None:
    """Two workers that share nothing but the notes, ten declarations with two stamps each."""
    now, most, total = 0, 0, 0

    async def slowly(seen: Seen) -> bytes:
        nonlocal now, most, total
        now, total = now + 1, total + 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return http(200, tsa.make_reply(seen.body, 1.8e9, total))

    async def check() -> None:
        async with scripted(slowly) as authority, scripted(lambda _: ACCEPTED[0]) as server:
            own = desk.settings(tsa_url=authority.url, tsa_in_flight=limit)
            async with (
                client("commonsdb", server.url, notes=desk.notes, **own) as one,
                client("commonsdb", server.url, notes=desk.notes, **own) as two,
            ):

                async def declare(provider: Any, number: int) -> None:
                    operation = provider.operation("declare")
                    body = {**FULL, "metadata": samples.plain_metadata(f"work {number}")}
                    request = request_of(operation, body)
                    await operation.submit(request, operation.intent(request, str(number)))

                await asyncio.gather(*(declare((one, two)[number % 2], number) for number in range(10)))
            assert len(server.seen) == 10

    go(check())
    assert (most, total) == (limit, 20)
    assert all(desk.notes.recall("commonsdb", f"stamping-{number}") is None for number in range(limit))


def test_the_place_of_a_dead_worker_is_free_when_its_time_is_over(desk: Desk) -> None:
    """It held the only place, and never gives it back."""
    desk.notes.remember("commonsdb", "stamping-0", f"{desk.clock.now() + 10:.3f} dead")

    async def check() -> None:
        async with desk.trip(tsa_in_flight=1, stamp_within=0.3) as trip:
            with pytest.raises(NotReady, match="no time stamp within"):
                await trip.submit()
            desk.pass_by(11)
            await trip.submit()

    go(check())


# --- asked for, and made anew --------------------------------------------------------------------------------------


def lose(desk: Desk, kind: str) -> None:
    """One declaration whose answer is lost: `reset` before it was processed, `reset_after` after."""
    desk.bench.sim.fault("commonsdb", kind, operation="declare", times=1)  # type: ignore[arg-type]


def test_a_lost_declaration_is_found_by_the_identifier_of_the_intent(desk: Desk) -> None:
    """It had arrived: adopted, and never sent again."""
    lose(desk, "reset_after")

    async def check() -> None:
        async with desk.trip() as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            located = await trip.locate()
            assert located.receipt == {"remote_id": trip.intent["identifier"]}

    go(check())
    assert desk.bench.accepted(DECLARE) == 1


@pytest.mark.parametrize("grace", [61, 300])
def test_a_lost_declaration_is_absent_only_after_the_grace(desk: Desk, grace: int) -> None:
    """Longer than the window, so that nothing under way can still be accepted. Then it is another declaration."""
    lose(desk, "reset")

    async def check() -> None:
        async with desk.trip(absent_after=grace) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            for _ in range(3):
                located = await trip.locate()
                assert (located.receipt, located.absent, located.gone) == (None, False, None)
                desk.pass_by((grace - 1) / 3)
            desk.pass_by(2)
            assert (await trip.locate()).absent
            first = trip.intent["identifier"]
            trip.intent = trip.operation.again(trip.request, doubtful(trip))
            assert trip.intent["identifier"] != first
            assert trip.intent["earlier"] == [first]
            assert trip.intent["timestamp"] == round(desk.clock.now() * 1000)
            await trip.submit()
            finished(DECLARE, await trip.watch())

    go(check())
    assert desk.bench.accepted(DECLARE) == 1


def test_by_a_clock_that_is_known_to_be_wrong_nothing_is_absent_early(desk: Desk) -> None:
    """The window is the server's: a worker whose clock runs ahead must not be the first to lose patience."""
    desk.clock.advance(3600)

    async def check() -> None:
        async with desk.trip() as trip:
            with pytest.raises(NotReady):
                await trip.submit()
        lose(desk, "reset")
        async with desk.trip() as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            desk.pass_by(290)
            assert not (await trip.locate()).absent
            desk.pass_by(20)
            assert (await trip.locate()).absent

    go(check())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("skew", [3600, -3600])
def test_one_wrong_answer_about_the_clock_makes_no_young_body_old(desk: Desk, skew: int, signed: bool) -> None:
    """Somebody learnt nonsense in between: both clocks must say that the grace is over."""
    lose(desk, "reset")

    async def check() -> None:
        async with desk.trip(desk.bench.body(DECLARE) if signed else None) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            trip.operation.provider.learn(desk.clock.now() + skew, desk.clock.now())
            desk.pass_by(299)
            located = await trip.locate()
            assert (located.absent, located.gone) == (False, None)
            desk.pass_by(2)
            located = await trip.locate()
            assert (located.absent or located.gone is not None) is (skew > 0)

    go(check())


def test_a_declaration_without_a_status_record_is_found_by_metadata(desk: Desk) -> None:
    """Its status record may be late, or never written: what metadata shows was accepted."""
    desk.bench.sim.set_switches("commonsdb", not_found_seconds=10_000)
    lose(desk, "reset_after")

    async def check(by: list[str]) -> tuple[bool, bool]:
        async with desk.trip(confirm_by=by) as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            desk.pass_by(301)
            located = await trip.locate()
            return located.receipt is not None, located.absent

    assert go(check(["metadata", "search"])) == (True, False)
    lose(desk, "reset_after")
    assert go(check([])) == (False, True)  # who switches metadata off gives this up


def test_an_earlier_attempt_that_turns_up_late_is_adopted(desk: Desk) -> None:
    """Should the record of the first one appear after all, the second doubt is settled by it."""
    desk.bench.sim.set_switches("commonsdb", not_found_seconds=400, findable_after_seconds=10_000)
    lose(desk, "reset_after")

    async def check() -> None:
        async with desk.trip() as trip:
            with pytest.raises(LostAnswer):
                await trip.submit()
            desk.pass_by(301)
            assert (await trip.locate()).absent
            first = trip.intent["identifier"]
            trip.intent = trip.operation.again(trip.request, doubtful(trip))
            lose(desk, "reset")
            with pytest.raises(LostAnswer):
                await trip.submit()
            desk.pass_by(101)
            assert (await trip.locate()).receipt == {"remote_id": first}

    go(check())


def test_within_the_window_an_attempt_keeps_its_identifier(desk: Desk) -> None:
    """A person says at once that nothing arrived: the same identifier can only be the same record."""

    async def check() -> None:
        async with desk.trip() as trip:
            desk.pass_by(30)
            assert trip.operation.again(trip.request, doubtful(trip)) == trip.intent
            desk.pass_by(31)
            assert trip.operation.again(trip.request, doubtful(trip))["earlier"] == [trip.intent["identifier"]]
            fresh = trip.operation.again(trip.request, doubtful(trip, JobState.ACCEPTED))
            assert fresh["identifier"] != trip.intent["identifier"]
            assert "earlier" not in fresh  # it was never sent, or certainly refused

    go(check())


def test_a_signed_body_is_never_made_anew(desk: Desk) -> None:
    """Settle did not sign it: the intent stays."""

    async def check() -> None:
        async with desk.trip(desk.bench.body(DECLARE)) as trip:
            desk.pass_by(400)
            assert trip.operation.again(trip.request, doubtful(trip)) == trip.intent
            assert (await trip.locate()).gone

    go(check())


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_an_answer_that_may_hide_an_acceptance_is_a_doubt(desk: Desk, status: int) -> None:
    """A new attempt would be another declaration, so even 503 is asked for first."""

    async def check() -> None:
        async with (
            scripted(lambda _: http(status)) as server,
            client("commonsdb", server.url, notes=desk.notes, **desk.settings()) as provider,
        ):
            operation = provider.operation("declare")
            request = request_of(operation, PLAIN)
            with pytest.raises(TransientError) as caught:
                await operation.submit(request, operation.intent(request, JOB_ID))
            assert caught.value.may_have_arrived

    go(check())


# --- supersedes ----------------------------------------------------------------------------------------------------


def successor(old: str, name: str = "Harbour II") -> dict[str, Any]:
    """A declaration that corrects another."""
    return {"metadata": samples.plain_metadata(name, supersedes=old)}


def test_a_successor_waits_until_the_older_one_is_processed(desk: Desk) -> None:
    """The service would refuse it (contract 2.6); waiting costs a look, not the job."""
    desk.bench.sim.plan("commonsdb", "Harbour", duration=100)

    async def check() -> None:
        async with desk.trip() as first:
            await first.submit()
        async with desk.trip(successor(first.intent["identifier"])) as second:
            with pytest.raises(NotReady, match="supersedes"):
                await second.submit()
            assert desk.bench.sim.account()["tsa"].requests["stamp"] == {"200": 2}  # none for nothing
        desk.pass_by(101)
        async with desk.trip(successor(first.intent["identifier"])) as second:
            await second.submit()
            finished(DECLARE, await second.watch())
        desk.clock.advance(desk.bench.clock() - desk.clock.now())
        async with desk.trip(successor(first.intent["identifier"], "Harbour III")) as third:
            with pytest.raises(Refused, match="already superseded"):
                await third.submit()

    go(check())


def test_the_rules_of_supersedes_are_the_services(desk: Desk) -> None:
    """An unknown one, and a failed one, are refused by it."""
    desk.bench.sim.plan("commonsdb", "Harbour", outcome="failed", duration=1)

    async def check() -> None:
        async with desk.trip(successor("bbqjcunknown")) as lost:
            with pytest.raises(Refused, match="not found"):
                await lost.submit()
        async with desk.trip() as first:
            await first.submit()
        desk.bench.clock.advance(2)
        async with desk.trip(successor(first.intent["identifier"])) as second:
            with pytest.raises(Refused, match="not found"):
                await second.submit()

    go(check())


@pytest.mark.parametrize("kind", ["500", "reset", "reset_after", "rubbish", "cut_body", "503", "401"])
def test_trouble_while_asking_for_the_older_one_is_no_doubt(desk: Desk, kind: Any) -> None:
    """The declaration itself was not sent."""
    desk.bench.sim.fault("commonsdb", kind, operation="status")

    async def check() -> None:
        async with desk.trip(successor("bbqjcolder")) as trip:
            with pytest.raises(Exception) as caught:
                await trip.submit()
            assert not getattr(caught.value, "may_have_arrived", False)
            assert isinstance(caught.value, NotSent) is (kind not in ("503", "401"))

    go(check())
    assert desk.bench.count(DECLARE) == {}


def test_a_successor_that_was_processed_after_all_is_ours(desk: Desk) -> None:
    """A later attempt is refused with the identifier of the first: that is the declaration that was wanted."""

    async def check() -> None:
        async with desk.trip() as first:
            await first.submit()
            finished(DECLARE, await first.watch())
        desk.clock.advance(desk.bench.clock() - desk.clock.now())
        async with desk.trip(successor(first.intent["identifier"])) as second:
            await second.submit()
            finished(DECLARE, await second.watch())
            ours = second.intent["identifier"]
            desk.clock.advance(desk.bench.clock() - desk.clock.now() + 61)
            desk.bench.clock.advance(61)
            second.intent = second.operation.again(second.request, doubtful(second))
            assert await second.submit() == {"remote_id": ours}

    go(check())
    assert desk.bench.accepted(DECLARE) == 2


# --- confirmed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["declaration", "public", "full"])
def test_a_processed_declaration_is_confirmed_when_it_is_shown(desk: Desk, shape: str) -> None:
    """In whichever of its shapes metadata answers; until then it runs, and says what is missing."""
    desk.bench.sim.set_switches("commonsdb", metadata_shape=shape, findable_after_seconds=40)
    desk.bench.sim.plan("commonsdb", "Harbour", duration=10)

    async def check() -> None:
        async with desk.trip() as trip:
            await trip.submit()
            desk.pass_by(11)
            early = await trip.observe()
            assert (early.verdict, early.word, early.known) == (Verdict.RUNNING, "success", True)
            assert early.message == "processed, but not shown yet by metadata, search"
            desk.pass_by(40)
            last = await trip.observe()
            assert (last.verdict, last.result["confirmed"]) == (Verdict.SUCCEEDED, True)

    go(check())


def test_a_declaration_that_is_never_shown_succeeds_unconfirmed(desk: Desk) -> None:
    """`success` is the service's word: patience ends, and the result says so."""
    desk.bench.sim.set_switches("commonsdb", findable_after_seconds=10_000)
    desk.bench.sim.plan("commonsdb", "Harbour", duration=10)

    async def check() -> None:
        async with desk.trip(confirm_within=60) as trip:
            await trip.submit()
            desk.pass_by(11)
            assert (await trip.observe()).verdict is Verdict.RUNNING
            desk.pass_by(60)
            last = await trip.observe()
            assert last.verdict is Verdict.SUCCEEDED
            assert last.result == {"identifier": trip.intent["identifier"], "confirmed": False}
            assert last.message == "processed, but not shown yet by metadata, search"

    go(check())


def test_the_deadline_does_not_make_an_expired_job_of_a_processed_one(desk: Desk) -> None:
    """Shortly before it patience is over, whatever was set, and by our own clock."""
    desk.bench.sim.set_switches("commonsdb", findable_after_seconds=10_000)

    async def check() -> None:
        async with desk.trip(confirm_within=9000) as trip:
            await trip.submit()
            desk.pass_by(100)
            for skew, left, verdict in (
                (0, 31, Verdict.RUNNING),
                (0, 29, Verdict.SUCCEEDED),
                (0, -1, Verdict.SUCCEEDED),
                (-40_000, 29, Verdict.SUCCEEDED),
                (-40_000, 31, Verdict.RUNNING),
                (40_000, 31, Verdict.RUNNING),
            ):
                trip.operation.provider.learn(desk.clock.now() + skew / 1000, desk.clock.now())
                job = replace(trip.job, deadline_at=desk.clock.now() + left)
                assert (await trip.operation.observe(job)).verdict is verdict

    go(check())


@pytest.mark.parametrize("by", [["metadata"], ["search"], []], ids=str)
def test_who_confirms_is_a_setting(desk: Desk, by: list[str]) -> None:
    """Only those are asked; without any, `success` alone counts and nothing is claimed."""
    desk.bench.sim.plan("commonsdb", "Harbour", duration=1)

    async def check() -> None:
        async with desk.trip(confirm_by=by) as trip:
            await trip.submit()
            desk.pass_by(2)
            last = await trip.observe()
            assert last.verdict is Verdict.SUCCEEDED
            assert last.result.get("confirmed") is (True if by else None)

    go(check())
    asked = {name for name in ("metadata", "search") if desk.bench.count(DECLARE, name)}
    assert asked == set(by)


@pytest.mark.parametrize("kind", ["401", "500", "rubbish", "reset"])
@pytest.mark.parametrize("operation", ["metadata", "search"])
def test_who_cannot_be_asked_does_not_harm_a_processed_declaration(desk: Desk, operation: str, kind: Any) -> None:
    """Not even a refused key there stops the provider: the message says who did not answer."""
    desk.bench.sim.plan("commonsdb", "Harbour", duration=1)
    desk.bench.sim.fault("commonsdb", kind, operation=operation)

    async def check() -> None:
        async with desk.trip() as trip:
            await trip.submit()
            desk.pass_by(2)
            early = await trip.observe()
            assert early.verdict is Verdict.RUNNING
            assert f"not shown yet by {operation} (" in str(early.message)
            desk.pass_by(60)
            assert (await trip.observe()).result["confirmed"] is False

    go(check())


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"results": []},
        {"results": [None, 3, {"docBody": None}]},
        {"results": [{"docBody": {"metaInternal": {"cidV1": "another"}}}]},
        {"metaInternal": {"cidV1": 7}, "declarationMetadata": {"publicMetadata": {"name": "another"}}},
        {"a": 10**400},
        {"a": "\ud800"},
        {"a": [[[[]]]] * 3, "declarationMetadata": []},
        b"rubbish",
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_only_the_declaration_itself_confirms(desk: Desk, answer: object) -> None:
    """Whatever else is answered, with HTTP 200, shows nothing."""

    def answers(seen: Seen) -> bytes:
        status = {"status": "success", "updatedAt": round(desk.clock.now() * 1000)}
        return http(200, status if "/status/" in seen.path else answer)

    async def check() -> None:
        async with scripted(answers) as server, client("commonsdb", server.url, notes=desk.notes) as provider:
            job = Job(
                JOB_ID, "commonsdb", "commonsdb.declare", JobState.POLLING, 0.0, 1e12,
                intent={"identifier": "bbqjc", "iscc": samples.iscc("x")}, receipt={"remote_id": "bbqjc"},
            )  # fmt: skip
            seen = await provider.operation("declare").observe(job)
            assert seen.verdict is Verdict.RUNNING
            assert "metadata" in str(seen.message)
            assert "search" in str(seen.message)

    go(check())


def test_without_a_time_of_the_success_patience_counts_from_the_submission(desk: Desk) -> None:
    """`updatedAt` is optional."""

    def answers(seen: Seen) -> bytes:
        return http(200, {"status": "success"} if "/status/" in seen.path else {"results": []})

    async def check() -> None:
        async with scripted(answers) as server, client("commonsdb", server.url, notes=desk.notes) as provider:
            job = Job(
                JOB_ID, "commonsdb", "commonsdb.declare", JobState.POLLING, 0.0, 1e12,
                intent={"identifier": "bbqjc"}, receipt={"remote_id": "bbqjc"}, submitted_at=desk.clock.now(),
            )  # fmt: skip
            operation = provider.operation("declare")
            assert (await operation.observe(job)).verdict is Verdict.RUNNING
            desk.clock.advance(61)
            assert (await operation.observe(job)).result["confirmed"] is False

    go(check())


# --- the key -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202, 400, 401, 422, 500])
def test_the_private_key_is_nowhere(desk: Desk, caplog: pytest.LogCaptureFixture, status: int) -> None:
    """Not in a request to either side, an error, an intent, a receipt, a log record at DEBUG, or a representation."""
    caplog.set_level("DEBUG")
    shown: list[str] = []

    def stamps(seen: Seen) -> bytes:
        shown.append(repr(seen.raw))
        return http(200, tsa.make_reply(seen.body, 1.8e9, 1))

    def answer(seen: Seen) -> bytes:
        shown.append(repr(seen.raw))
        return http(status, {"cidV1": "bbqjc", "serverTime": 1, "error": "no", "message": seen.raw.decode()[:300]})

    async def check() -> None:
        async with scripted(stamps) as authority, scripted(answer) as server:
            own = desk.settings(tsa_url=authority.url)
            async with client("commonsdb", server.url, notes=desk.notes, **own) as provider:
                operation = provider.operation("declare")
                request = request_of(operation, FULL)
                intent = operation.intent(request, JOB_ID)
                try:
                    shown.append(repr(await operation.submit(request, intent)))
                except Exception as error:
                    shown.append("".join(traceback.format_exception(error)))
                shown.extend(map(repr, (intent, provider.settings, provider, operation, vars(provider), request)))
            for seen in authority.seen:
                assert desk.bench.sim.keys["commonsdb"] not in seen.raw.decode("latin-1")

    go(check())
    key = samples.signing_key()
    text = "\n".join([*shown, caplog.text, *(str(record.__dict__) for record in caplog.records)])
    assert len(shown) == 2 + 1 + 1 + 6
    assert str(key.as_dict(private=True)["d"]) not in text
    assert "PRIVATE KEY" not in text
