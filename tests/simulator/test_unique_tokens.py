"""The simulated Unique Tokens API, seen by a plain client."""

import gzip
import hashlib
import hmac
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from simulator import ManualClock, Running, samples

SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"
INTENT = samples.payment()["ident"]


def _post(tok: httpx.Client, **order: Any) -> dict[str, Any]:
    answer = tok.post("/api/tokens", json=samples.tokens_request(**order))
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def _attributes(tok: httpx.Client, path: str) -> dict[str, Any]:
    found: dict[str, Any] = tok.get(path).json()["data"]["attributes"]
    return found


def test_a_line_is_requested_started_ended_finished(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """The happy path has the documented fields, types and links at each status."""
    sim.plan("unique_tokens", INTENT, duration=20)
    posted = _post(tok)
    path = f"/api/tokens/{posted['id']}"
    assert posted["attributes"] == {
        "status": "requested",
        "analysis": "none",
        "alphabet": "UPPER_HEX",
        "digits": "12",
        "size": "2000",
        "reachable": "87381",
        "available": "281474976710656",
        "timestamps": {"requested": "2026-09-21T14:13:20.000Z"},
    }
    clock.advance(2)
    assert _attributes(tok, path)["status"] == "started"
    clock.advance(9)
    assert _attributes(tok, path)["progress"] == 50
    assert _attributes(tok, f"{path}/started")["progress"] == 0
    clock.advance(9)
    ended = tok.get(path).json()
    assert ended["links"] == {"self": "/api/tokens", "info": path, "data": f"{path}/data"}
    attributes = ended["data"]["attributes"]
    assert (attributes["status"], attributes["progress"], attributes["partial"]) == ("ended", 100, True)
    assert attributes["available"] == "281474976708656"
    assert attributes["filesizes"] == {"data": 25999}
    assert attributes["rate"] == round(2000 * 12 / 18)
    assert len(attributes["checksum"]) == 7 * 12
    clock.advance(1)
    finished = tok.get(path).json()
    assert finished["data"]["attributes"]["status"] == "finished"
    assert "progress" not in finished["data"]["attributes"]
    assert finished["links"]["snapshot"] == f"{path}/snapshot"
    assert _attributes(tok, f"{path}/ended")["status"] == "ended"
    assert finished["meta"] == {"seed": SEED}


def test_the_data_are_distinct_tokens(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """The file has as many different tokens as ordered, newline separated, none at the end."""
    sim.plan("unique_tokens", INTENT, duration=1)
    path = f"/api/tokens/{_post(tok)['id']}/data"
    assert tok.get(path).status_code == 404
    clock.advance(1)
    answer = tok.get(path)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["transfer-encoding"] == "chunked"
    tokens = answer.text.split("\n")
    assert len(set(tokens)) == 2000
    assert {len(token) for token in tokens} == {12}
    head = tok.head(path)
    assert (head.headers["content-length"], head.content) == ("25999", b"")
    packed = tok.get(f"{path}?format=gz")
    assert gzip.decompress(packed.content) == answer.content
    assert tok.head(f"{path}?format=gz").headers["content-length"] == str(len(packed.content))
    sim.set_switches("unique_tokens", data_content_length=True)
    assert tok.get(path).headers["content-length"] == "25999"
    assert sim.account()["unique_tokens"].jobs[INTENT].files_served == 3


@pytest.mark.parametrize("rule", ["plain", "seed_before", "seed_after", "hmac"])
def test_the_digest_rule_is_a_switch(sim: Running, tok: httpx.Client, clock: ManualClock, rule: str) -> None:
    """filehashes follow each of the four guessed rules."""
    sim.set_switches("unique_tokens", digest_rule=rule)
    sim.plan("unique_tokens", INTENT, duration=1)
    path = f"/api/tokens/{_post(tok)['id']}"
    clock.advance(1)
    data, seed = tok.get(f"{path}/data").content, SEED.encode()
    expected = {
        "plain": hashlib.sha256(data).hexdigest(),
        "seed_before": hashlib.sha256(seed + data).hexdigest(),
        "seed_after": hashlib.sha256(data + seed).hexdigest(),
        "hmac": hmac.new(seed, data, hashlib.sha256).hexdigest(),
    }
    assert _attributes(tok, path)["filehashes"] == {"data": expected[rule]}


def test_without_a_seed_there_are_no_hashes(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """filehashes need meta.seed, unless switched on."""
    sim.plan("unique_tokens", INTENT, duration=1)
    path = f"/api/tokens/{_post(tok, seed=None)['id']}"
    clock.advance(1)
    assert "filehashes" not in _attributes(tok, path)
    assert "meta" not in tok.get(path).json()
    sim.set_switches("unique_tokens", filehashes_without_seed=True)
    data = tok.get(f"{path}/data").content
    assert _attributes(tok, path)["filehashes"]["data"] == hashlib.sha256(data).hexdigest()


def test_a_planned_wrong_digest_does_not_fit(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """A plan can make the published hash wrong."""
    sim.set_switches("unique_tokens", digest_rule="plain")
    sim.plan("unique_tokens", INTENT, duration=1, wrong_digest=True)
    path = f"/api/tokens/{_post(tok)['id']}"
    clock.advance(1)
    data = tok.get(f"{path}/data").content
    assert _attributes(tok, path)["filehashes"]["data"] != hashlib.sha256(data).hexdigest()


def test_a_milestone_not_yet_reached(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """It answers with the current record, or with errors."""
    sim.plan("unique_tokens", INTENT, duration=20)
    path = f"/api/tokens/{_post(tok)['id']}/ended"
    assert _attributes(tok, path)["status"] == "requested"
    sim.set_switches("unique_tokens", early_milestone="errors")
    assert tok.get(path).json()["errors"][0]["status"] == 404
    clock.advance(20)
    assert _attributes(tok, path)["status"] == "ended"


def test_a_milestone_call_can_be_held(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """With the switch on, the call answers only when the milestone is reached."""
    sim.set_switches("unique_tokens", early_milestone="held")
    sim.plan("unique_tokens", INTENT, duration=20)
    path = f"/api/tokens/{_post(tok)['id']}/ended"

    with ThreadPoolExecutor(max_workers=1) as pool:
        call = pool.submit(tok.get, path)
        deadline = time.monotonic() + 20
        # The call is counted as a poll when it arrives, long before it is answered.
        while not sim.account()["unique_tokens"].jobs[INTENT].polls:
            assert time.monotonic() < deadline
        assert not call.done()
        clock.advance(20)
        assert call.result(timeout=20).json()["data"]["attributes"]["status"] == "ended"


def test_a_used_up_line_has_no_snapshot(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """All tokens of an alphabet: nothing left, checksum zero, finished without a snapshot."""
    sim.plan("unique_tokens", INTENT, duration=1)
    posted = _post(tok, alphabet="DICE", digits="5", size="7776")
    path = f"/api/tokens/{posted['id']}"
    clock.advance(2)
    document = tok.get(path).json()
    attributes = document["data"]["attributes"]
    assert (attributes["status"], attributes["partial"]) == ("finished", False)
    assert (attributes["available"], attributes["reachable"]) == ("0", "0")
    assert attributes["checksum"] == "0" * 70
    assert attributes["filesizes"] == {"data": 124_415}
    assert "snapshot" not in document["links"]
    assert tok.get(f"{path}/snapshot").status_code == 404


def test_the_next_part_continues_from_a_snapshot(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """The second part has the same id, other tokens, and less left; a spoiled snapshot is refused."""
    for name in ("order-1", "order-2"):
        sim.plan("unique_tokens", samples.payment(name)["ident"], duration=1)
    path = f"/api/tokens/{_post(tok, alphabet='LOWER_LATIN', digits='3', size='8788')['id']}"
    clock.advance(2)
    first = set(tok.get(f"{path}/data").text.split("\n"))
    blob = tok.get(f"{path}/snapshot").content
    order = samples.tokens_request(alphabet="LOWER_LATIN", digits="3", size="8788", paid_by=samples.payment("order-2"))

    def send(content: bytes) -> httpx.Response:
        info = ("info.json", json.dumps(order).encode(), "application/json")
        files = [("info.json", info), ("snapshot.blob", ("snapshot.blob", content, "application/octet-stream"))]
        return tok.post(path, files=files)

    assert send(blob[:-1] + b"!").status_code == 422
    restored = send(blob)
    assert restored.status_code == 201
    assert f"/api/tokens/{restored.json()['data']['id']}" == path
    clock.advance(2)
    second = set(tok.get(f"{path}/data").text.split("\n"))
    assert len(second) == 8788
    assert not first & second
    attributes = _attributes(tok, path)
    assert (attributes["available"], attributes["partial"]) == ("0", False)
    assert attributes["checksum"] == "0" * 21


@pytest.mark.parametrize("frozen", [True, False])
def test_the_milestones_of_the_part_before_may_be_served(
    sim: Running, tok: httpx.Client, clock: ManualClock, frozen: bool
) -> None:
    """Under the same id, until the new part reaches its own; the payment tells whose record it is."""
    sim.set_switches("unique_tokens", frozen_parts=frozen)
    path = f"/api/tokens/{_post(tok)['id']}"
    clock.advance(200)
    blob = tok.get(f"{path}/snapshot").content
    order = samples.tokens_request(paid_by=samples.payment("order-2"), size="1000")
    sim.plan("unique_tokens", samples.payment("order-2")["ident"], duration=20)
    info = ("info.json", json.dumps(order).encode(), "application/json")
    tok.post(path, files=[("info.json", info), ("snapshot.blob", ("snapshot.blob", blob, "application/octet-stream"))])

    def shown() -> tuple[str, str]:
        data = tok.get(f"{path}/ended").json()["data"]
        return data["attributes"]["status"], data["relationships"]["payment"]["data"]["ident"]

    assert shown() == (("ended", INTENT) if frozen else ("requested", samples.payment("order-2")["ident"]))
    clock.advance(21)
    assert shown() == ("ended", samples.payment("order-2")["ident"])


def test_a_token_comes_twice_when_switched(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """A defect that only a look at the tokens finds: length, lines and digest are those that are published."""
    sim.set_switches("unique_tokens", repeat_token=True, digest_rule="plain")
    path = f"/api/tokens/{_post(tok, seed=SEED)['id']}"
    clock.advance(200)
    content = tok.get(f"{path}/data").content
    lines = content.split(b"\n")
    assert (len(lines), len(set(lines)), lines[0] == lines[-1]) == (2000, 1999, True)
    attributes = _attributes(tok, path)
    assert attributes["filesizes"]["data"] == len(content)
    assert attributes["filehashes"]["data"] == hashlib.sha256(content).hexdigest()
    sim.set_switches("unique_tokens", repeat_token=False)
    lines = tok.get(f"{path}/data").content.split(b"\n")
    assert len(set(lines)) == 2000


@pytest.mark.parametrize(("same", "code"), [("accepted", 201), ("refused", 422)])
def test_an_alphabet_is_added_again_or_not(sim: Running, tok: httpx.Client, same: str, code: int) -> None:
    """Not documented; when it is refused the first one stays."""
    sim.set_switches("unique_tokens", same_alphabet=same)

    def add(chars: str) -> int:
        body = {"data": {"type": "alphabet", "id": "mine", "attributes": {"chars": chars}}}
        return tok.post("/api/alphabets", json=body).status_code

    assert (add("ABC"), add("ABCD")) == (201, code)
    assert _attributes(tok, "/api/alphabets/mine")["length"] == (4 if same == "accepted" else 3)


@pytest.mark.parametrize(("digits", "size", "code"), [(20, 17_477, 402), (20, 6**20 + 1, 406)])
def test_an_oversize_order_is_scaled_or_refused(
    sim: Running, tok: httpx.Client, digits: int, size: int, code: int
) -> None:
    """Above reachable it is 402, above everything 406; or both are scaled down."""
    assert _post(tok, alphabet="DICE", digits=digits, size=size)["attributes"]["size"] == "17476"
    sim.set_switches("unique_tokens", oversize="refused")
    refused = tok.post("/api/tokens", json=samples.tokens_request(alphabet="DICE", digits=digits, size=size))
    assert refused.status_code == code
    problem = refused.json()["errors"][0]
    assert problem["status"] == code
    assert problem["source"] == {"parameter": "size", "pointer": "/data/attributes/size"}
    sim.set_switches("unique_tokens", error_http="as_success")
    disguised = tok.post("/api/tokens", json=samples.tokens_request(alphabet="DICE", digits=digits, size=size))
    assert (disguised.status_code, disguised.json()["errors"][0]["status"]) == (201, code)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"alphabet": "NONE"}, 422),
        ({"size": "many"}, 422),
        ({"size": "999"}, 402),
        ({"digits": "2"}, 402),
        ({"digits": "101"}, 402),
        ({"paid_by": {"type": "transaction"}}, 402),
    ],
)
def test_wrong_orders_are_refused(sim: Running, tok: httpx.Client, order: dict[str, Any], code: int) -> None:
    """Each wrong value has its code, and nothing is accepted."""
    answer = tok.post("/api/tokens", json=samples.tokens_request(**order))
    assert (answer.status_code, "data" in answer.json()) == (code, False)
    assert all(job.accepted == 0 for job in sim.account()["unique_tokens"].jobs.values())


def test_a_payment_can_be_used_once_when_switched(sim: Running, tok: httpx.Client) -> None:
    """A used intent starts a second line, unless the switch refuses it."""
    assert _post(tok)["id"] != _post(tok)["id"]
    assert sim.account()["unique_tokens"].doubles == (INTENT,)
    sim.set_switches("unique_tokens", reused_payment="refused")
    assert tok.post("/api/tokens", json=samples.tokens_request()).status_code == 402


@pytest.mark.parametrize(("form", "expected"), [("word", "aborted"), ("stuck", "started"), ("errors", 500)])
def test_a_failed_line_has_three_forms(
    sim: Running, tok: httpx.Client, clock: ManualClock, form: str, expected: str | int
) -> None:
    """A failed line shows a word, stays started, or answers errors; it has no data."""
    sim.set_switches("unique_tokens", failure_form=form)
    sim.plan("unique_tokens", INTENT, duration=1, outcome="failed")
    path = f"/api/tokens/{_post(tok)['id']}"
    clock.advance(100)
    answer = tok.get(path)
    if form == "errors":
        assert answer.json()["errors"][0]["status"] == expected
    else:
        assert answer.json()["data"]["attributes"]["status"] == expected
    assert tok.get(f"{path}/data").status_code == 404
    assert sim.account()["unique_tokens"].jobs[INTENT].outcome == "failed"


def test_the_analysis_has_scores_and_differences(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """With analysis=metrics the line gets analyzed, and its three files can be fetched."""
    sim.plan("unique_tokens", INTENT, duration=1)
    order = samples.tokens_request(alphabet="LOWER_LATIN", digits="3", size="1000")
    path = f"/api/tokens/{tok.post('/api/tokens?analysis=metrics', json=order).json()['data']['id']}"
    clock.advance(2)
    attributes = _attributes(tok, path)
    assert (attributes["status"], attributes["analysis"]) == ("analyzed", "metrics")
    ranks = [int(line) for line in tok.get(f"{path}/score").text.split("\n")]
    deltas = [int(line) for line in tok.get(f"{path}/delta").text.split("\n")]
    letters = "abcdefghijklmnopqrstuvwxyz"
    token = tok.get(f"{path}/data").text.split("\n")[0]
    assert ranks[0] == sum(letters.index(c) * 26**p for p, c in enumerate(reversed(token)))
    assert deltas == [after - before for before, after in itertools.pairwise(ranks)]
    score = tok.get(f"{path}/analysis").json()["data"]["attributes"]["score"]
    assert (score["minimum"], score["maximum"]) == (min(ranks), max(ranks))
    sim.set_switches("unique_tokens", analyzed="instead")
    assert _attributes(tok, path)["status"] == "analyzed"


def test_the_list_has_no_links_of_its_own(sim: Running, tok: httpx.Client) -> None:
    """The elements of the list carry neither meta nor links, unless switched on."""
    line = _post(tok)["id"]
    found = tok.get("/api/tokens").json()
    assert found["links"] == {"self": "/api/tokens"}
    assert found["data"][0]["relationships"]["payment"]["data"]["ident"] == INTENT
    assert not {"meta", "links"} & set(found["data"][0])
    sim.set_switches("unique_tokens", list_carries_links=True)
    assert tok.get("/api/tokens").json()["data"][0]["links"]["info"] == f"/api/tokens/{line}"


def test_deleted_lines_are_gone(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """DELETE of one line and of all; repeated it is an unknown id, and an empty list."""
    first, _ = _post(tok)["id"], _post(tok)["id"]
    clock.advance(500)
    gone = tok.delete(f"/api/tokens/{first}").json()
    assert gone["data"]["attributes"]["status"] == "deleted"
    assert gone["data"]["attributes"]["timestamps"]["deleted"]
    assert gone["links"] == {"self": f"/api/tokens/{first}"}
    assert tok.delete(f"/api/tokens/{first}").status_code == 404
    assert tok.get(f"/api/tokens/{first}").status_code == 404
    sim.set_switches("unique_tokens", deleted_line="record")
    assert _attributes(tok, f"/api/tokens/{first}")["status"] == "deleted"
    assert len(tok.delete("/api/tokens").json()["data"]) == 1
    assert tok.delete("/api/tokens").json()["data"] == []
    assert sim.account()["unique_tokens"].jobs[INTENT].outcome == "deleted"


def test_sessions_are_opened_listed_and_revoked(sim: Running, tok: httpx.Client) -> None:
    """A revoked session opens nothing any more; limits are integers."""
    key, api = tok.headers["Session-Key"], {"Api-Key": sim.keys["unique_tokens"]}
    listed = tok.get(f"/api/sessions/{key}", headers=api).json()
    assert [session["id"] for session in listed["data"]] == [key]
    assert listed["data"][0]["attributes"]["limits"]["maxTokens"] == 100_000
    assert listed["relationships"]["customer"]["data"]["attributes"]["price"]["job"] == 5.0
    assert tok.get("/api/tokens").status_code == 200
    revoked = tok.delete(f"/api/sessions/{key}", headers=api).json()
    assert "revoked" in revoked["data"][0]["attributes"]["timestamps"]
    refused = tok.get("/api/tokens")
    assert (refused.status_code, refused.json()["errors"][0]["detail"]) == (403, "Unknown Session-Key.")


def test_unknown_keys_are_refused(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """An unknown Api-Key, a missing Session-Key and an expired session are refused."""
    body = {"data": {"type": "session", "attributes": {}}}
    stranger = tok.post("/api/sessions", json=body, headers={"Api-Key": "other"})
    assert (stranger.status_code, stranger.json()["errors"][0]["title"]) == (403, "Session not established")
    sim.set_switches("unique_tokens", session_code=401, session_lifetime_seconds=60)
    assert httpx.get(f"{sim.url}/api/tokens").status_code == 401
    clock.advance(60)
    assert tok.get("/api/tokens").status_code == 401


def test_a_foreign_line_is_unknown(sim: Running, tok: httpx.Client) -> None:
    """A line of another session has an unknown id."""
    line = _post(tok)["id"]
    body = {"data": {"type": "session", "attributes": {}}}
    api = {"Api-Key": sim.keys["unique_tokens"]}
    other = tok.post("/api/sessions", json=body, headers=api).json()["data"]["id"]
    assert tok.get(f"/api/tokens/{line}", headers={"Session-Key": other}).status_code == 404


def test_alphabets_tell_their_capacity(tok: httpx.Client) -> None:
    """Presets have the documented attributes; capacity comes as strings."""
    found = tok.get("/api/alphabets/UPPER_HEX/12").json()
    assert found["links"]["self"] == "/api/alphabets/UPPER_HEX/12"
    attributes = found["data"]["attributes"]
    assert (attributes["length"], attributes["bytes"], attributes["ascii"]) == (16, 16, True)
    assert (attributes["available"], attributes["reachable"]) == ("281474976710656", "87381")
    dice = tok.get("/api/alphabets/DICE").json()["data"]["attributes"]
    assert (dice["length"], dice["bytes"], dice["ascii"], "digits" in dice) == (6, 18, False, False)
    assert tok.get("/api/alphabets/NONE").status_code == 404
    assert tok.get("/api/alphabets/DICE/x").status_code == 422


def test_custom_alphabets_belong_to_the_session(sim: Running, tok: httpx.Client) -> None:
    """They can be added, found, used and deleted."""
    body = {"data": {"type": "alphabet", "id": "bas", "attributes": {"chars": "AEIOU"}}}
    added = tok.post("/api/alphabets", json=body)
    assert (added.status_code, added.json()["data"]["attributes"]["parity"]) == (201, 87)
    found = tok.get("/api/alphabets?filter[style]=custom").json()["data"]
    assert [item["id"] for item in found] == ["bas"]
    assert len(tok.get("/api/alphabets?filter[length]=16").json()["data"]) == 3
    assert _post(tok, alphabet="bas", digits="8")["attributes"]["alphabet"] == "bas"
    assert tok.delete("/api/alphabets/bas").status_code == 200
    assert tok.delete("/api/alphabets/bas").status_code == 404
    assert tok.delete("/api/alphabets").json()["data"] == []


def test_media_type_and_parallel_lines_can_be_limited(sim: Running, tok: httpx.Client) -> None:
    """Two more refusals can be switched on."""
    sim.set_switches("unique_tokens", max_lines=1)
    _post(tok)
    assert tok.post("/api/tokens", json=samples.tokens_request()).status_code == 402
    sim.set_switches("unique_tokens", check_media_type=True)
    assert tok.post("/api/tokens", json=samples.tokens_request()).status_code == 415
