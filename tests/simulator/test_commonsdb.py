"""The simulated CommonsDB API, seen by a plain client."""

from collections.abc import Callable

import httpx
import pytest

from simulator import ManualClock, Running, samples

Declare = Callable[..., httpx.Response]


def test_a_declaration_is_accepted_then_pending_then_success(
    sim: Running, cdb: httpx.Client, clock: ManualClock, declare: Declare
) -> None:
    """The happy path has the documented fields and types."""
    sim.plan("commonsdb", "Harbour", duration=5)
    accepted = declare(registry=True)
    assert accepted.status_code == 202
    answer = accepted.json()
    assert set(answer) == {"rayId", "message", "env", "iscc", "cidV1", "version"}
    assert all(isinstance(value, str) for value in answer.values())
    pending = cdb.get(f"/v1/status/{answer['cidV1']}").json()
    assert (pending["status"], pending["message"]) == ("pending", "")
    assert pending["createdAt"] == pending["updatedAt"] == round(clock() * 1000)
    assert pending["createdAtDateTime"] == "September 21, 2026 at 2:13:20 PM UTC"
    clock.advance(5)
    done = cdb.get(f"/v1/status/{answer['cidV1']}").json()
    assert (done["status"], done["identifier"]) == ("success", answer["cidV1"])
    assert done["updatedAt"] == done["createdAt"] + 5000


def test_the_time_stamp_authority_serves_a_declaration(sim: Running, cdb: httpx.Client, clock: ManualClock) -> None:
    """A declaration stamped over HTTP at /tsa is accepted."""
    body = samples.declaration(sim.base_urls["commonsdb"], name="stamped", now_ms=round(clock() * 1000), registry=True)
    assert cdb.post("/v1/declare", json=body).status_code == 202
    assert sim.account()["tsa"].requests == {"stamp": {"200": 2}}


def test_the_time_stamp_authority_rejects_rubbish(sim: Running) -> None:
    """An unreadable query gets a rejection, another content type a 415."""
    headers = {"Content-Type": "application/timestamp-query"}
    assert httpx.post(sim.tsa_url, content=b"no DER", headers=headers).content.endswith(b"\x02\x01\x02")
    assert httpx.post(sim.tsa_url, content=b"no DER").status_code == 415


def test_a_failed_declaration_can_turn_success(
    sim: Running, cdb: httpx.Client, clock: ManualClock, declare: Declare
) -> None:
    """With the switch on, failed is overwritten by success after a while."""
    sim.set_switches("commonsdb", failed_then_success_seconds=10)
    sim.plan("commonsdb", "Harbour", outcome="failed", duration=1, message="no storage")
    url = f"/v1/status/{declare().json()['cidV1']}"
    clock.advance(1)
    failed = cdb.get(url).json()
    assert (failed["status"], failed["message"]) == ("failed", "no storage")
    clock.advance(10)
    assert cdb.get(url).json()["status"] == "success"


def test_a_record_goes_stale_after_an_hour(
    sim: Running, cdb: httpx.Client, clock: ManualClock, declare: Declare
) -> None:
    """What is pending for an hour turns failed."""
    sim.plan("commonsdb", "Harbour", duration=100_000)
    url = f"/v1/status/{declare().json()['cidV1']}"
    clock.advance(3599)
    assert cdb.get(url).json()["status"] == "pending"
    clock.advance(1)
    assert cdb.get(url).json()["status"] == "failed"


def test_status_is_unknown_for_a_while_when_the_window_is_open(
    sim: Running, cdb: httpx.Client, clock: ManualClock, declare: Declare
) -> None:
    """The 404 window after acceptance can be switched on."""
    sim.set_switches("commonsdb", not_found_seconds=2)
    url = f"/v1/status/{declare().json()['cidV1']}"
    missing = cdb.get(url)
    assert (missing.status_code, missing.json()["error"]) == (404, "Not found")
    clock.advance(2)
    assert cdb.get(url).status_code == 200


def test_an_identical_declaration_resets_the_record(sim: Running, cdb: httpx.Client, clock: ManualClock) -> None:
    """The same body again is accepted, counted twice, and starts anew."""
    sim.plan("commonsdb", "Harbour", duration=5)
    body = samples.declaration(name="Harbour", now_ms=round(clock() * 1000))
    identifier = cdb.post("/v1/declare", json=body).json()["cidV1"]
    clock.advance(30)
    assert cdb.get(f"/v1/status/{identifier}").json()["status"] == "success"
    assert cdb.post("/v1/declare", json=body).json()["cidV1"] == identifier
    again = cdb.get(f"/v1/status/{identifier}").json()
    assert (again["status"], again["createdAt"]) == ("pending", round(clock() * 1000))
    assert sim.account()["commonsdb"].jobs[identifier].accepted == 2


def test_metadata_and_search_find_a_processed_declaration(
    cdb: httpx.Client, clock: ManualClock, declare: Declare
) -> None:
    """Both metadata operations and search answer once processing is over."""
    answer = declare().json()
    identifier, code = answer["cidV1"], answer["iscc"].removeprefix("ISCC:")
    assert cdb.get(f"/v1/metadata/{identifier}").status_code == 404
    assert cdb.get(f"/v1/search/{code}").json()["results"] == []
    clock.advance(10)
    assert cdb.get(f"/v1/metadata/{identifier}").json()["metaInternal"]["cidV1"] == identifier
    bare = httpx.get(f"{cdb.base_url}v1/metadata-pub/{identifier}")
    assert bare.json()["name"] == "Harbour"
    assert bare.headers["x-cid-header"] == identifier
    found = cdb.get(f"/v1/search/{code}").json()
    assert found["q"] == answer["iscc"]
    assert found["results"][0]["docBody"]["metaInternal"]["cidV1"] == identifier
    assert cdb.get("/v1/search/short").status_code == 400


@pytest.mark.parametrize("shape", ["declaration", "public", "full"])
def test_metadata_has_three_shapes(sim: Running, cdb: httpx.Client, shape: str) -> None:
    """An unknown identifier is a plain 404, or an empty list in the full shape."""
    sim.set_switches("commonsdb", metadata_shape=shape)
    answer = cdb.get("/v1/metadata/unknown")
    if shape == "full":
        assert (answer.status_code, answer.json()["results"]) == (200, [])
    else:
        assert (answer.status_code, answer.text) == (404, "Not found")


def test_a_wrong_key_is_refused_as_the_switch_says(sim: Running, cdb: httpx.Client) -> None:
    """401 comes as problem details or as plain text, 403 for an unknown key when switched."""
    wrong = {"Authorization": "Bearer wrong"}
    refused = cdb.get("/v1/status/x", headers=wrong)
    assert (refused.status_code, refused.json()["status"]) == (401, 401)
    assert refused.headers["content-type"] == "application/problem+json"
    sim.set_switches("commonsdb", auth_error_shape="text")
    assert cdb.get("/v1/status/x", headers=wrong).text == "Unauthorized"
    sim.set_switches("commonsdb", declarer_missing_code=403)
    assert cdb.get("/v1/status/x", headers=wrong).status_code == 403


def test_a_declaration_supersedes_a_processed_one_once(cdb: httpx.Client, clock: ManualClock, declare: Declare) -> None:
    """Superseding needs a processed declaration, and tells who superseded it already."""
    first = declare("first").json()["cidV1"]
    assert declare("too early", supersedes=first).status_code == 422
    clock.advance(10)
    second = declare("second", supersedes=first).json()["cidV1"]
    clock.advance(10)
    late = declare("late", supersedes=first)
    assert (late.status_code, late.json()["existingSupersededBy"]) == (422, second)


@pytest.mark.parametrize("code", [200, 201, 202])
def test_the_success_code_is_a_switch(sim: Running, declare: Declare, code: int) -> None:
    """Declare answers with the code that is switched on."""
    sim.set_switches("commonsdb", declare_code=code, tracking_delayed=True)
    answer = declare()
    assert answer.status_code == code
    assert answer.json()["message"] == "accepted and pending, tracking may be delayed"
