"""Faults: each kind as a client meets it, and which requests it meets."""

import asyncio
import time

import aiohttp
import httpx
import pytest

from simulator import Fault, ManualClock, Running, Simulator, running, samples
from simulator.faults import Faults


def test_429_and_503_carry_retry_after_and_end(sim: Running, cdb: httpx.Client) -> None:
    """The answer has the provider's own error shape; after the given times all is well again."""
    sim.fault("commonsdb", "429", times=2, retry_after=7)
    sim.fault("commonsdb", "503", times=1, retry_after="Mon, 21 Sep 2026 14:13:20 GMT")
    answers = [cdb.get("/v1/status/x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 503, 404]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[0].json()["status"] == 429
    assert answers[2].headers["retry-after"] == "Mon, 21 Sep 2026 14:13:20 GMT"


def test_errors_have_the_shape_of_their_provider(
    sim: Running, ipr: httpx.Client, tok: httpx.Client, lettr: httpx.Client
) -> None:
    """500 and 401 come as the envelope, as errors, and as the other envelope."""
    for provider in ("myipr", "unique_tokens", "lettrlabs", "tsa"):
        sim.fault(provider, "500", times=1)
    sim.fault("myipr", "401", times=1)
    failed = ipr.get("/recent-files")
    assert (failed.status_code, failed.json()["status"]) == (500, 500)
    assert ipr.get("/recent-files").json() == {"status": 401, "message": "Unauthorized"}
    assert tok.get("/api/tokens").json()["errors"][0]["status"] == 500
    assert lettr.get("/v1/me").json()["hasErrors"] is True
    assert httpx.post(sim.tsa_url).status_code == 500


def test_a_reset_happens_before_processing(sim: Running, ipr: httpx.Client) -> None:
    """The connection is aborted, nothing is made, and the books know."""
    sim.fault("myipr", "reset", operation="create", times=1)
    with pytest.raises(httpx.TransportError):
        ipr.post("/create", json=samples.certificate_request("master"))
    assert ipr.get("/recent-files").json()["result"] == []
    job = sim.account()["myipr"].jobs["master"]
    assert (job.submits, job.faulted, job.accepted) == (1, 1, 0)
    assert sim.account()["myipr"].requests["create"] == {"reset": 1}


def test_a_reset_after_hides_a_processed_request(sim: Running, ipr: httpx.Client) -> None:
    """The connection is aborted after the certificate was made: sending again would be a duplicate."""
    sim.fault("myipr", "reset_after", operation="create", reference="master", times=1)
    with pytest.raises(httpx.TransportError):
        ipr.post("/create", json=samples.certificate_request("master"))
    assert ipr.get("/recent-files").json()["result"][0]["name"] == "master"
    assert ipr.post("/create", json=samples.certificate_request("master")).status_code == 400
    job = sim.account()["myipr"].jobs["master"]
    assert (job.submits, job.accepted, job.refused) == (2, 1, 1)
    assert sim.account()["myipr"].requests["create"] == {"400": 1, "reset_after": 1}


def test_a_submission_sent_twice_is_seen(sim: Running, lettr: httpx.Client) -> None:
    """When the remote side accepts a repeat, the account names the double."""
    sim.set_switches("lettrlabs", repeated_order_id="accepted")
    sim.fault("lettrlabs", "reset_after", operation="create_conversions", times=1)
    with pytest.raises(httpx.TransportError):
        lettr.post("/v1/conversions", json=[samples.conversion("SO-1")])
    lettr.post("/v1/conversions", json=[samples.conversion("SO-1")])
    assert sim.account()["lettrlabs"].jobs["SO-1"].accepted == 2
    assert sim.account()["lettrlabs"].doubles == ("SO-1",)


def test_a_cut_body_ends_too_early(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """A body with Content-Length and a chunked one both break off before their end."""
    intent = samples.payment()["ident"]
    sim.plan("unique_tokens", intent, duration=1)
    order = samples.tokens_request(size="50000", digits="20")
    path = f"/api/tokens/{tok.post('/api/tokens', json=order).json()['data']['id']}/data"
    clock.advance(1)
    for content_length in (False, True):
        sim.set_switches("unique_tokens", data_content_length=content_length)
        sim.fault("unique_tokens", "cut_body", operation="data", times=1)
        received: list[int] = []
        with tok.stream("GET", path) as answer, pytest.raises(httpx.RemoteProtocolError):
            received.extend(len(piece) for piece in answer.iter_raw())
        assert 0 < sum(received) < 1_049_999
    assert len(tok.get(path).content) == 1_049_999
    assert sim.account()["unique_tokens"].jobs[intent].files_served == 1


def test_a_cut_json_body_is_a_protocol_error(sim: Running, cdb: httpx.Client) -> None:
    """A small JSON answer can be cut, too."""
    sim.fault("commonsdb", "cut_body", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        cdb.get("/v1/status/x")


def test_a_slow_body_arrives_whole(sim: Running, cdb: httpx.Client) -> None:
    """The body is spread over the seconds given."""
    sim.fault("commonsdb", "slow_body", times=1, seconds=0.1)
    begin = time.monotonic()
    assert cdb.get("/v1/status/x").json()["error"] == "Not found"
    assert time.monotonic() - begin >= 0.1


def test_latency_delays_and_goes_with_others(sim: Running, cdb: httpx.Client) -> None:
    """The answer comes later, whatever it is."""
    sim.fault("commonsdb", "latency", times=1, seconds=0.1)
    sim.fault("commonsdb", "500", times=1)
    begin = time.monotonic()
    assert cdb.get("/v1/status/x").status_code == 500
    assert time.monotonic() - begin >= 0.1


def test_rubbish_is_200_with_invalid_json(sim: Running, ipr: httpx.Client) -> None:
    """The request is processed, but its answer cannot be read."""
    sim.fault("myipr", "rubbish", times=1)
    answer = ipr.post("/create", json=samples.certificate_request("master"))
    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()
    assert sim.account()["myipr"].jobs["master"].accepted == 1


def test_an_unknown_word_shows_in_each_status(
    sim: Running, cdb: httpx.Client, ipr: httpx.Client, tok: httpx.Client, lettr: httpx.Client, clock: ManualClock
) -> None:
    """The undocumented word stands where the provider has its status."""
    for provider in ("commonsdb", "myipr", "unique_tokens", "lettrlabs"):
        sim.fault(provider, "unknown_word", word="simmering")
    body = samples.declaration(name="work", now_ms=round(clock() * 1000))
    identifier = cdb.post("/v1/declare", json=body).json()["cidV1"]
    version = ipr.post("/create", json=samples.certificate_request()).json()["result"]["versionId"]
    line = tok.post("/api/tokens", json=samples.tokens_request()).json()["data"]["id"]
    upload = lettr.post("/v1/conversions", json=[samples.conversion()]).json()["payload"][0]["id"]
    assert cdb.get(f"/v1/status/{identifier}").json()["status"] == "simmering"
    assert ipr.post(f"/get-version/{version}").json()["result"]["status"] == "simmering"
    assert tok.get(f"/api/tokens/{line}").json()["data"]["attributes"]["status"] == "simmering"
    assert lettr.get(f"/v1/conversions/{upload}/status").json()["payload"]["status"] == "simmering"


def test_a_wrong_digest_is_published(
    sim: Running, cdb: httpx.Client, ipr: httpx.Client, tok: httpx.Client, clock: ManualClock
) -> None:
    """The fault changes the identifier, the hash, and filehashes for the times given."""
    for provider in ("commonsdb", "myipr", "unique_tokens"):
        sim.fault(provider, "wrong_digest", times=1)
    body = samples.declaration(name="work", now_ms=round(clock() * 1000))
    other = cdb.post("/v1/declare", json=body).json()["cidV1"]
    assert other != samples.cid_v1(body["declarationMetadata"]["publicMetadata"])
    assert cdb.get(f"/v1/status/{other}").status_code == 200
    version = ipr.post("/create", json=samples.certificate_request("a")).json()["result"]["versionId"]
    hashes = [ipr.post(f"/get-version/{version}").json()["result"]["hash"] for _ in range(2)]
    assert [value == samples.sha256_of("a") for value in hashes] == [False, True]
    line = tok.post("/api/tokens", json=samples.tokens_request()).json()["data"]["id"]
    clock.advance(120)
    found = [tok.get(f"/api/tokens/{line}").json()["data"]["attributes"]["filehashes"] for _ in range(2)]
    assert found[0]["data"] != found[1]["data"]


def test_a_fault_meets_only_its_reference(sim: Running, ipr: httpx.Client) -> None:
    """Other jobs and other operations are left alone; clearing ends it."""
    sim.fault("myipr", "500", reference="bad")
    assert ipr.post("/create", json=samples.certificate_request("good")).status_code == 201
    assert ipr.post("/create", json=samples.certificate_request("bad")).status_code == 500
    assert ipr.get("/recent-files").status_code == 200
    assert sim.clear_faults("commonsdb") == 0
    assert sim.clear_faults("myipr") == 1
    assert ipr.post("/create", json=samples.certificate_request("bad")).status_code == 201


def test_senseless_faults_are_refused(sim: Running) -> None:
    """Unknown kinds, operations and parameters, and kinds without a meaning, are refused."""
    for values in (
        {"provider": "lettrlabs", "kind": "wrong_digest"},
        {"provider": "commonsdb", "kind": "unknown_word", "operation": "declare"},
        {"provider": "commonsdb", "kind": "explosion"},
        {"provider": "nobody", "kind": "500"},
        {"provider": "commonsdb", "kind": "500", "operation": "nothing"},
        {"provider": "commonsdb", "kind": "500", "colour": "red"},
        {"provider": "commonsdb", "kind": "500", "times": 0},
    ):
        with pytest.raises(ValueError):
            sim.fault(**values)
    assert sim.faults() == {}


def test_times_count_down() -> None:
    """A listed fault shows how often it is still to come."""
    faults = Faults()
    number = faults.add(Fault(provider="myipr", kind="500", times=2))
    assert faults.take("lettrlabs", "me", ()) == ()
    assert len(faults.take("myipr", "create", ())) == 1
    assert faults.listed()[number].times == 1
    faults.take("myipr", "create", ())
    assert faults.listed() == {}


def test_an_aiohttp_client_meets_the_same_faults() -> None:
    """The async context manager serves in the caller's own loop, and another client library agrees."""

    async def check() -> None:
        async with Simulator() as simulator, aiohttp.ClientSession() as session:
            url = f"{simulator.base_urls['lettrlabs']}/v1/me"
            headers = {"X-API-KEY": simulator.keys["lettrlabs"]}
            async with session.get(url, headers=headers) as answer:
                assert (await answer.json())["payload"]["id"] == 4107
            simulator.fault("lettrlabs", "reset")
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(url, headers=headers)
            simulator.clear_faults()
            simulator.fault("lettrlabs", "cut_body")
            async with session.get(url, headers=headers) as answer:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()

    asyncio.run(check())


def test_a_taken_port_is_an_error(sim: Running) -> None:
    """The context manager hands the error of the background thread over."""
    port = int(sim.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address"), running(port=port):
        pass
