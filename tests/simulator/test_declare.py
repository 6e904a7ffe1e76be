"""The checks of declare, each with its place in the order of contract commonsdb 2.10."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from simulator import ManualClock, Running, samples, signing, tsa
from simulator.rights import RIGHTS_STATEMENTS

Change = Callable[[dict[str, Any]], None]


def _public(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["declarationMetadata"]["publicMetadata"]
    return found


def _set(name: str, value: Any) -> Change:
    return lambda body: _public(body).update({name: value})


def _registry(name: str, value: Any) -> Change:
    return lambda body: body["declarationMetadata"]["commonsDbRegistry"].update({name: value})


def _other_stamp(body: dict[str, Any]) -> None:
    query = tsa.make_query(b"something else")
    body["tsaSignature"]["tsq"] = base64.b64encode(query).decode()


def _other_signature(body: dict[str, Any]) -> None:
    head, claims, signature = body["signature"].split(".")
    body["signature"] = f"{head}.{claims}.{'A' * len(signature)}"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        (_set("declarerId", ""), 422, "Missing declarerId"),
        (_set("declarerId", "did:key:zOther"), 422, "DeclarerId mismatch"),
        (_set("credentials", []), 422, "Validation failed"),
        (_set("timestamp", "1790000000000"), 422, "Validation failed"),
        (lambda body: body.pop("commonsDbRegistrySignature"), 422, "Validation failed"),
        (_registry("rightsStatement", "http://example.org/"), 422, "Validation failed"),
        (_set("supersedes", "unknown"), 422, "Supersedes validation failed"),
        (_set("$schema", "https://w3id.org/commonsdb/schema/0.1.9.json"), 422, "Schema validation failed"),
        (_set("@context", "https://w3id.org/liccium/context/0.2.0.json"), 422, "Schema validation failed"),
        (_set("timestamp", 1_790_000_060_001), 400, "Timestamp validation failed"),
        (_other_signature, 400, "Signature verification failed"),
        (_set("name", "another"), 400, "Signature content mismatch"),
        (_other_stamp, 400, "TSA signature verification failed"),
        (
            lambda body: body.update(metaInternal={"cidV1": "bbqjc"}),
            400,
            "Identifier verification failed",
        ),
        (_registry("timestamp", 1), 400, "CommonsDB registry timestamp validation failed"),
    ],
)
def test_each_broken_rule_has_its_own_answer(
    sim: Running, cdb: httpx.Client, change: Change, status: int, error: str
) -> None:
    """One broken rule at a time gives its code and error text, and nothing is accepted."""
    body = samples.declaration(name="work", now_ms=1_790_000_000_000, registry=True)
    change(body)
    answer = cdb.post("/v1/declare", json=body)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert all(job.accepted == 0 for job in sim.account()["commonsdb"].jobs.values())


def test_the_answers_carry_their_details(cdb: httpx.Client) -> None:
    """Structure errors are listed; the window error carries the server's clock in ms."""
    body = samples.declaration(name="work", now_ms=1_790_000_000_000)
    _public(body)["credentials"] = []
    body["tsaSignature"] = "a string"
    problems = cdb.post("/v1/declare", json=body).json()["validationErrors"]
    assert [text.partition(":")[0] for text in problems] == [
        "tsaSignature",
        "declarationMetadata.publicMetadata.credentials",
    ]
    early = samples.declaration(name="work", now_ms=1_789_999_900_000)
    answer = cdb.post("/v1/declare", json=early).json()
    assert (answer["serverTime"], answer["providedTimestamp"]) == (1_790_000_000_000, 1_789_999_900_000)


def test_exactly_sixty_seconds_still_pass(cdb: httpx.Client, clock: ManualClock) -> None:
    """The window includes its edge."""
    body = samples.declaration(name="work", now_ms=round(clock() * 1000))
    clock.advance(60)
    assert cdb.post("/v1/declare", json=body).status_code == 202


def test_plain_text_errors_can_become_problem_details(sim: Running, cdb: httpx.Client) -> None:
    """A body that is no JSON and a short ISCC answer in plain text, or as the gateway rewrites it."""
    assert cdb.post("/v1/declare", content=b"{").text == "Invalid request body"
    body = samples.declaration(name="work", now_ms=1_790_000_000_000, iscc="ISCC:SHORT")
    short = cdb.post("/v1/declare", json=body)
    assert (short.status_code, short.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    sim.set_switches("commonsdb", text_errors_as_json=True)
    assert cdb.post("/v1/declare", content=b"{").json()["title"] == "Invalid request body"


def test_nested_key_order_must_be_the_same(cdb: httpx.Client) -> None:
    """Claims are compared as text, so another order of nested keys is refused."""
    body = samples.declaration(name="work", now_ms=1_790_000_000_000)
    nested = _public(body)["supplierMetadata"]
    _public(body)["supplierMetadata"] = dict(reversed(nested.items()))
    answer = cdb.post("/v1/declare", json=body).json()
    assert answer["mismatches"] == ["supplierMetadata: differs from the signed value"]


def test_registry_claims_are_compared_when_switched(sim: Running, cdb: httpx.Client) -> None:
    """The content of the registry signature counts only with the switch."""
    body = samples.declaration(name="work", now_ms=1_790_000_000_000, registry=True)
    body["declarationMetadata"]["commonsDbRegistry"]["location"] = "https://elsewhere.example/"
    sim.set_switches("commonsdb", compare_registry_claims=True)
    assert cdb.post("/v1/declare", json=body).status_code == 400
    sim.set_switches("commonsdb", compare_registry_claims=False)
    assert cdb.post("/v1/declare", json=body).status_code == 202


def test_all_hashes_of_a_stamp_are_known(cdb: httpx.Client) -> None:
    """A stamp over SHA-256 is as good as one over SHA-512."""
    body = samples.declaration(name="work", now_ms=1_790_000_000_000, algorithm="sha256")
    assert cdb.post("/v1/declare", json=body).status_code == 202


def test_there_are_204_rights_statements() -> None:
    """The list has as many values as the schema (contract commonsdb 2.3)."""
    assert len(RIGHTS_STATEMENTS) == 204
    assert "https://creativecommons.org/licenses/by-sa/2.1/jp/" in RIGHTS_STATEMENTS
    assert "https://creativecommons.org/licenses/by/2.1/" not in RIGHTS_STATEMENTS


def test_tokens_that_are_not_es256_are_refused() -> None:
    """A JWT needs alg ES256, a jwk, a true signature and an end in the future."""
    good = signing.sign({"a": 1}, signing.new_key())
    assert signing.verify(good, 0) == {"a": 1}
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    bare = base64.urlsafe_b64encode(b'{"alg":"ES256"}').decode().rstrip("=")
    expired = signing.sign({"exp": 10}, signing.new_key())
    for token in (f"{none}.e30.AA", f"{bare}.e30.AA", "!.e30.AA", expired):
        with pytest.raises(signing.SignatureError):
            signing.verify(token, 11)
