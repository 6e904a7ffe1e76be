"""CommonsDB from plain metadata: what is signed and sent, and the key is nowhere."""

from __future__ import annotations

import base64
import copy
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey
from pydantic import ValidationError

from jobs.errors import ConfigurationError
from providers.commonsdb import CommonsDBSettings, cid_v1
from providers.commonsdb.rights import RIGHTS_STATEMENTS
from simulator import DEFAULT_DID, samples, signing, tsa
from simulator.rights import RIGHTS_STATEMENTS as THEIRS

from .bench import DECLARE, JOB_ID, client, finished, go, request_of
from .desk import ACCEPTED, FULL, PLAIN, Desk
from .server import Seen, http, scripted

both = pytest.mark.parametrize("body", [PLAIN, FULL], ids=["metadata", "registry"])


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
