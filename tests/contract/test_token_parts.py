"""Unique Tokens beyond the plain order: own alphabets, gz, the analysis, the next part, dismantling, the probe."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.artifacts import Artifact, DigestOf, DigestRule, Inspector, Verification
from jobs.errors import DigestMismatch, InvalidJob
from jobs.record import Failure, Job
from jobs.redis_notes import NOTE_OUTLIVES
from jobs.states import JobState
from jobs.storage import Storage
from providers.base import Verdict
from providers.errors import Busy, LostAnswer, NotFound, NotSent, ProviderError, Refused, Unavailable
from providers.unique_tokens import sessions
from simulator import samples
from tests.ledgers import expire

from .bench import CAPACITY, PRODUCE, Bench, Trip, Way, client, go, job_of
from .server import Seen, http, scripted

SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"
SESSION = "33305508-61c6-4750-a51b-dd68c80198de"
CONTINUE = Way("unique_tokens", "continue", "post_next_part", "get_milestone", samples.payment("second")["ident"])
OWN = "ACDEFGHJKLMNPQRTUVWXY3479"  # no two that look alike


def paid(name: str) -> dict[str, str]:
    """A payment of its own."""
    made = samples.payment(name)
    return {"id": made["id"], "ident": made["ident"]}


def lines_of(content: bytes) -> list[bytes]:
    """The tokens of a file."""
    return content.split(b"\n")


# --- alphabets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["marked", "own"])
@pytest.mark.parametrize("ask", [True, False])
@pytest.mark.parametrize("code", [403, 404, 410])
@pytest.mark.parametrize("error_http", ["true", "as_success"])
def test_an_alphabet_of_ones_own_is_added_and_used(
    bench: Bench, names: str, ask: bool, code: int, error_http: str
) -> None:
    """Before the order, once a session; every token is made of its characters, ASCII or not."""
    bench.sim.set_switches("unique_tokens", unknown_id_code=code, error_http=error_http)

    async def check() -> None:
        for name, chars in (("mine", OWN), ("suits", "♠♡♢♣🂡")):
            body = {**bench.body(PRODUCE), "alphabet": name, "chars": chars, "payment": paid(name)}
            async with bench.trip(PRODUCE, body, alphabet_names=names, check_capacity=ask) as trip:
                await trip.submit()
                last = (await trip.watch())[-1]
                assert last.verdict is Verdict.SUCCEEDED
                assert last.result["alphabet"] == trip.intent["alphabet"]
                assert (last.result["alphabet"] == name) is (names == "own")
                content, _ = await trip.fetch(last.artifacts[0])
                assert set(content.decode()) == {*chars, "\n"}
                assert len({*lines_of(content)}) == 2000
            async with bench.trip(PRODUCE, {**body, "payment": paid(f"{name}2")}, alphabet_names=names) as trip:
                await trip.submit()  # another worker finds it there

    go(check())
    assert sum(bench.count(PRODUCE, "add_alphabet").values()) == 2


def test_one_name_for_two_alphabets(bench: Bench) -> None:
    """Marked, each order gets its own characters; as given, the second is refused before it is paid."""

    async def check(names: str) -> None:
        found = []
        for number, chars in enumerate((OWN, OWN[:-1])):
            body = {**bench.body(PRODUCE), "alphabet": "mine", "chars": chars, "payment": paid(f"{names}{number}")}
            async with bench.trip(PRODUCE, body, alphabet_names=names) as trip:
                if number and names == "own":
                    with pytest.raises(Refused, match="other characters"):
                        await trip.submit()
                    continue
                await trip.submit()
                found.append((await trip.watch())[-1].result["alphabet"])
        assert len(set(found)) == len(found)

    go(check("marked"))
    assert bench.accepted(PRODUCE) == 2
    bench.sim.reset()
    bench.notes.forget("unique_tokens", "session", bench.notes.recall("unique_tokens", "session") or "")
    go(check("own"))
    assert bench.accepted(PRODUCE) == 1


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"alphabet": "DICE", "digits": 20, "size": 17_477}, "17476 tokens of 20 digits that one part"),
        ({"alphabet": "TINY", "digits": 10, "size": 1025, "chars": None}, "this one"),
        ({"alphabet": "mine", "digits": 60, "size": 17_477, "chars": OWN}, "17476 tokens of 60 digits that one part"),
        ({"alphabet": "NO_SUCH"}, "does not give this one"),
    ],
    ids=str,
)
def test_what_cannot_be_delivered_is_refused_before_it_is_paid(
    bench: Bench, change: dict[str, Any], said: str, error_http: str
) -> None:
    """The service's own figures count; the order is never sent."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, oversize="scaled")

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), **change}) as trip:
            with pytest.raises(Refused, match=said):
                await trip.submit()

    go(check())
    assert bench.count(PRODUCE) == {}


@pytest.mark.parametrize("kind", ["500", "reset", "reset_after", "cut_body", "rubbish", "429"])
@pytest.mark.parametrize("operation", ["add_alphabet", "get_alphabet", "open_session"])
def test_trouble_before_the_order_leaves_no_doubt(bench: Bench, kind: Any, operation: str) -> None:
    """Whatever became of the alphabet, nothing was ordered: it is sent again, and accepted once."""
    bench.sim.fault("unique_tokens", kind, operation=operation, times=1)
    body = {**bench.body(PRODUCE), "alphabet": "mine", "chars": OWN}

    async def check() -> None:
        async with bench.trip(PRODUCE, body) as trip:
            trouble = 0
            while trouble < 5 and trip.receipt is None:
                try:
                    await trip.submit()
                except (NotSent, Busy):
                    trouble += 1
            assert trouble in ((1,) if operation != "get_alphabet" else (0, 1))  # a lost GET is repeated at once
            assert (await trip.watch())[-1].verdict is Verdict.SUCCEEDED

    go(check())
    assert bench.accepted(PRODUCE) == 1


@pytest.mark.parametrize("same", ["accepted", "refused"])
def test_many_jobs_and_workers_with_one_alphabet(bench: Bench, same: str) -> None:
    """A bundle adds it once; of two workers the slower one takes what is there."""
    bench.sim.set_switches("unique_tokens", same_alphabet=same)
    bench.sim.fault("unique_tokens", "latency", operation="add_alphabet", seconds=0.3)
    body = {**bench.body(PRODUCE), "alphabet": "mine", "chars": OWN}

    async def check() -> None:
        async with bench.trip(PRODUCE, body) as one, bench.trip(PRODUCE, body) as two:
            await one.operation.provider.session()
            ready = [trip.operation.prepare(trip.request) for trip in (one, two) for _ in range(20)]  # type: ignore[attr-defined]
            assert len(set(await asyncio.gather(*ready))) == 1

    go(check())
    assert sum(bench.count(PRODUCE, "add_alphabet").values()) == 2
    assert sum(bench.count(PRODUCE, "get_alphabet").values()) == 4


@pytest.fixture
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The note about the session is read before each call, as it is when calls are more than a second apart."""
    monkeypatch.setattr(sessions, "_FRESH", 0.0)


@pytest.mark.usefixtures("looks_each_time")
def test_a_new_session_gets_the_alphabet_again(bench: Bench) -> None:
    """It belongs to the session; between asking and ordering the session may go."""

    async def check() -> None:
        body = {**bench.body(PRODUCE), "alphabet": "mine", "chars": OWN}
        async with bench.trip(PRODUCE, body) as trip:
            await trip.submit()
            old = bench.notes.recall("unique_tokens", "session") or ""
            bench.notes.forget("unique_tokens", "session", old)
            trip.intent["ident"] = "pi_other"
            await trip.submit()
            operation: Any = trip.operation

            async def replaced(request: Any) -> str:
                return "another session"

            operation.prepare = replaced
            with pytest.raises(NotSent, match="replaced"):
                await trip.submit()

    go(check())
    assert bench.count(PRODUCE, "add_alphabet") == {"201": 2}
    assert bench.count(PRODUCE) == {"201": 2}


# --- gz ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hash_gzip", [False, True])
@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize("rule", ["plain", "seed_before", "seed_after", "hmac"])
@pytest.mark.parametrize("seed", [SEED, None])
def test_gz_is_fetched_packed_and_checked_inside(
    bench: Bench, hash_gzip: bool, length: bool, rule: str, seed: str | None
) -> None:
    """Size and lines are those of the content; the digest may be of either."""
    bench.sim.set_switches("unique_tokens", hash_gzip=hash_gzip, data_content_length=length, digest_rule=rule)

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "format": "gz", "seed": seed}) as trip:
            await trip.submit()
            last = (await trip.watch())[-1]
            (artifact,) = last.artifacts
            assert (artifact.name, artifact.size, artifact.lines) == ("tokens.txt.gz", 25_999, 2000)
            inspector, content = Inspector(artifact), bytearray()
            async with trip.operation.download(trip.job, artifact) as chunks:
                async for chunk in chunks:
                    inspector.update(chunk)
                    content += chunk
            assert len(lines_of(gzip.decompress(content))) == 2000
            assert inspector.matching_rule() is (DigestRule(rule) if seed else None)
            if seed:
                assert inspector.digest_of is (DigestOf.FILE if hash_gzip else DigestOf.CONTENT)

    go(check())


@pytest.mark.parametrize("hash_gzip", [False, True])
@pytest.mark.parametrize("hashes_of", ["plain", "gz"])
def test_a_digest_of_the_packed_file_is_cured_by_a_setting(bench: Bench, hash_gzip: bool, hashes_of: str) -> None:
    """A plain file is then unverified, not corrupt; the other files keep their digests."""
    bench.sim.set_switches("unique_tokens", hash_gzip=hash_gzip)

    async def check() -> None:
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), "snapshot": True}, hashes_of=hashes_of) as trip:
            await trip.submit()
            data, snapshot = (await trip.watch())[-1].artifacts
            if hash_gzip and hashes_of == "plain":
                with pytest.raises(DigestMismatch):
                    await trip.fetch(data)
            else:
                _, rule = await trip.fetch(data)
                assert rule is (DigestRule.SEED_BEFORE if hashes_of == "plain" else None)
            assert (await trip.fetch(snapshot))[1] is DigestRule.SEED_BEFORE

    go(check())


# --- analysis ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("analyzed", ["after_finished", "instead"])
@pytest.mark.parametrize("poll_at", ["milestone", "current"])
@pytest.mark.parametrize("snapshot", [False, True])
@pytest.mark.parametrize("early", ["current", "errors", "held"])
def test_an_analysis_brings_its_files(bench: Bench, analyzed: str, poll_at: str, snapshot: bool, early: str) -> None:
    """The line is done when they are linked, whatever it was called before."""
    bench.sim.set_switches("unique_tokens", analyzed=analyzed, early_milestone=early, finish_seconds=9)
    body = {**bench.body(PRODUCE), "analysis": "metrics", "snapshot": snapshot}

    async def check() -> None:
        async with bench.trip(PRODUCE, body, poll_at=poll_at) as trip:
            await trip.submit()
            seen = await trip.watch(step=2, looks=400)
            assert seen[-1].word == "analyzed"
            assert "ended" in {each.word for each in seen[:-1]}
            assert all(each.artifacts == () for each in seen[:-1])
            files = {artifact.name: artifact for artifact in seen[-1].artifacts}
            assert list(files) == ["tokens.txt", *(["snapshot.blob"] if snapshot else []), *_ANALYSIS]
            content = {name: await trip.fetch(artifact) for name, artifact in files.items()}
            assert {name for name, (_, rule) in content.items() if rule is None} == {"analysis.json"}
            scores = [int(line) for line in lines_of(content["score.csv"][0])]
            assert scores == [int(token, 16) for token in lines_of(content["tokens.txt"][0])]
            deltas = [int(line) for line in lines_of(content["delta.csv"][0])]
            assert deltas[0] == scores[1] - scores[0]
            assert json.loads(content["analysis.json"][0])["data"]["attributes"]["level"] == "metrics"

    go(check())
    assert bench.count(PRODUCE, "get_milestone") == {}


_ANALYSIS = ["score.csv", "delta.csv", "analysis.json"]


def test_an_order_without_analysis_says_nothing_of_it(bench: Bench) -> None:
    """It costs extra."""

    async def check() -> None:
        for analysis in ("none", "metrics"):
            seen: list[Seen] = []

            def answer(each: Seen, seen: list[Seen] = seen) -> bytes:
                seen.append(each)
                return _known(each) or http(201, {"data": {"id": "L-1"}})

            async with scripted(answer) as server, client("unique_tokens", server.url) as provider:
                operation = provider.operation("produce")
                request = operation.request.model_validate({**bench.body(PRODUCE), "analysis": analysis})
                await operation.submit(request, operation.intent(request, "o-1"))
            assert seen[-1].path == "/api/tokens" + ("?analysis=metrics" if analysis == "metrics" else "")

    go(check())


def _known(seen: Seen) -> bytes | None:
    if seen.path == "/api/sessions":
        return http(201, {"data": {"id": SESSION}})
    return http(200, CAPACITY) if seen.path.startswith("/api/alphabets/") else None


@pytest.mark.parametrize("content", [b'{"data": {"attr', b"", b"1,2,3", b'{"a": "' + b"x" * 100_000, b"[]"], ids=len)
def test_an_analysis_that_is_cut_off_is_fetched_again(content: bytes) -> None:
    """It has no digest and no length to be checked by: only its form tells."""

    async def check() -> None:
        async with (
            scripted(lambda seen: _known(seen) or http(200, content)) as server,
            client("unique_tokens", server.url) as provider,
        ):
            trip = Trip(PRODUCE, provider.operation("produce"), None, {}, None, {"remote_id": "L"})  # type: ignore[arg-type]
            with pytest.raises(ProviderError):
                await trip.fetch(Artifact("analysis.json", link="/api/tokens/L/analysis"))

    go(check())


# --- the next part -------------------------------------------------------------------------------------------------


class House:
    """Former jobs and the files that they stored."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.storage = Storage(folder.as_uri())
        self.content: dict[str, bytes] = {}

    async def finish(self, trip: Trip, job_id: str, **changes: Any) -> Job:
        """Take a job to its end, store its files and record it."""
        last = (await trip.watch())[-1]
        assert last.verdict is Verdict.SUCCEEDED, last
        found = []
        for artifact in last.artifacts:
            self.content[f"{job_id}/{artifact.name}"] = content = (await trip.fetch(artifact))[0]
            path = self.storage.path("unique_tokens", job_id, artifact.name)
            with self.storage.writing(path, "1") as out:
                out.write(content)
            digest = hashlib.sha256(content).hexdigest()
            found.append(
                replace(
                    artifact,
                    uri=self.storage.uri(path),
                    stored_size=len(content),
                    stored_sha256=digest,
                    verification=Verification.VERIFIED,
                )
            )
        job = replace(
            trip.job,
            id=job_id,
            created_at=self.bench.clock(),
            artifacts=tuple(found),
            result=last.result,
            state=JobState.SUCCEEDED,
            **changes,
        )
        self.bench.notes.accept(job)
        return job

    def record(self, job: Job, job_id: str, **changes: Any) -> None:
        """Record another job like this one."""
        self.bench.notes.accept(replace(job, id=job_id, **changes))

    async def first(self, job_id: str = "first", *, dismantle: bool = True, **changes: Any) -> Job:
        """A first part with its snapshot."""
        body = {**self.bench.body(PRODUCE), "snapshot": True, "payment": paid(job_id), **changes}
        async with self.bench.trip(PRODUCE, body, job_id=job_id) as trip:
            await trip.submit()
            job = await self.finish(trip, job_id)
            if dismantle:
                assert await trip.operation.tidy(job) == {"dismantled": True}
        return job

    def next(self, former: str, job_id: str = "second", **changes: Any) -> AbstractAsyncContextManager[Trip]:
        """The part after it."""
        settings = changes.pop("settings", {})
        body = {"former": former, "size": 3000, "payment": paid(job_id), "seed": SEED, **changes}
        return _Next(self, body, job_id, settings)


class _Next(AbstractAsyncContextManager[Trip]):
    def __init__(self, house: House, body: Mapping[str, Any], job_id: str, settings: dict[str, Any]) -> None:
        self.house, self.body, self.job_id = house, body, job_id
        self.client = house.bench.provider("unique_tokens", **settings)

    async def __aenter__(self) -> Trip:
        provider = await self.client.__aenter__()
        provider.files = self.house.storage.chunks
        try:
            operation = provider.operation("continue")
            request = operation.request.model_validate(dict(self.body))
            way = replace(CONTINUE, reference=self.body["payment"]["ident"])
            return Trip(way, operation, request, operation.intent(request, self.job_id), self.house.bench.clock)
        except BaseException:
            await self.client.__aexit__(None, None, None)
            raise

    async def __aexit__(self, *raised: Any) -> None:
        await self.client.__aexit__(*raised)


@pytest.fixture
def house(bench: Bench, tmp_path: Path) -> House:
    """Jobs with stored files."""
    return House(bench, tmp_path)


@pytest.mark.parametrize("new_id", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("dismantle", [False, True])
@pytest.mark.parametrize("new_session", [False, True])
def test_three_parts_of_one_line_share_no_token(
    house: House, new_id: bool, frozen: bool, dismantle: bool, new_session: bool
) -> None:
    """From stored snapshots alone, in this session or another, whatever became of the line before."""
    house.bench.sim.set_switches("unique_tokens", second_part_new_id=new_id, frozen_parts=frozen)
    own = {"alphabet": "mine", "chars": OWN, "digits": 9}

    async def check() -> None:
        await house.first("first", dismantle=dismantle, **own)
        for former, job_id in (("first", "second"), ("second", "third")):
            if new_session:
                held = house.bench.notes.recall("unique_tokens", "session")
                house.bench.notes.forget("unique_tokens", "session", held or "")
            async with house.next(former, job_id, snapshot=True) as trip:
                receipt = await trip.submit()
                assert (await trip.locate()).receipt == receipt
                job = await house.finish(trip, job_id)
                assert (job.result or {})["former"] == former
                if dismantle:
                    assert await trip.operation.tidy(job) == {"dismantled": True}
        parts = [lines_of(house.content[f"{name}/tokens.txt"]) for name in ("first", "second", "third")]
        assert [len(part) for part in parts] == [2000, 3000, 3000]
        assert len({*parts[0], *parts[1], *parts[2]}) == 8000
        left = [int((house.bench.notes.get(name).result or {})["available"]) for name in ("first", "second", "third")]
        assert left == [len(OWN) ** 9 - 2000, len(OWN) ** 9 - 5000, len(OWN) ** 9 - 8000]

    go(check())


def test_the_next_part_is_sent_as_the_page_shows(house: House) -> None:
    """Two parts of a multipart body, the Session-Key and no JSON media type; the snapshot byte by byte."""

    async def check() -> None:
        former = await house.first()
        seen: list[Seen] = []

        def answer(each: Seen) -> bytes:
            seen.append(each)
            return _known(each) or http(201, {"data": {"id": "L-2"}})

        house.bench.notes.forget("unique_tokens", "session", house.bench.notes.recall("unique_tokens", "session") or "")
        async with scripted(answer) as server, client("unique_tokens", server.url, notes=house.bench.notes) as provider:
            provider.files = house.storage.chunks
            operation = provider.operation("continue")
            body = {"former": "first", "size": 3000, "payment": paid("x"), "seed": SEED, "analysis": "metrics"}
            request = operation.request.model_validate(body)
            await operation.submit(request, operation.intent(request, "second"))
        sent = seen[-1]
        assert sent.path == f"/api/tokens/{(former.receipt or {})['remote_id']}?analysis=metrics"
        assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert sent.headers["content-length"] == str(len(sent.body))
        assert "vnd.api" not in sent.headers["accept"]
        info = json.loads(sent.body.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0])
        assert info["data"]["attributes"] == {"alphabet": "UPPER_HEX", "digits": "12", "size": "3000"}
        assert info["data"]["relationships"]["payment"]["data"] == {"type": "transaction", **paid("x")}
        assert info["meta"] == {"seed": SEED}
        assert house.content["first/snapshot.blob"] in sent.body
        for name in (b"info.json", b"snapshot.blob"):
            assert b'name="%b"; filename="%b"' % (name, name) in sent.body

    go(check())


def refuses(house: House, former: str, said: str, job_id: str = "second", **changes: Any) -> None:
    """The next part cannot be: it ends before anything is sent, and says why."""

    async def check() -> None:
        with pytest.raises(InvalidJob, match=said):
            async with house.next(former, job_id, **changes):
                raise AssertionError("an intent was made")

    go(check())


def test_what_cannot_be_continued_is_said(house: House) -> None:
    """Each with its reason, before anything is sent or paid."""
    first = go(house.first())
    refuses(house, "no-such-job", "no such job")
    for state in (JobState.POLLING, JobState.FAILED, JobState.CANCELLED):
        due = None if state is not JobState.POLLING else 1e12
        house.record(first, state.value, state=state, due_at=due)
        refuses(house, state.value, f"not succeeded \\({state}\\)")
    house.bench.notes.accept(replace(first, id="certificate", provider="myipr", workflow="myipr.certify"))
    refuses(house, "certificate", "not a job of unique_tokens")
    house.record(first, "without", artifacts=first.artifacts[:1])
    refuses(house, "without", "stored no snapshot")
    refuses(house, "first", "87381 tokens", size=87_382)
    assert house.bench.count(CONTINUE) == {}
    assert house.bench.notes.recall("unique_tokens", "continued:first") is None

    async def anyway() -> None:
        async with house.next("first", size=87_382, settings={"oversize": "send"}) as trip:
            await trip.submit()
            assert (await trip.watch())[-1].result["scaled_down"] is True

    go(anyway())


def test_a_snapshot_is_restored_by_one_job_only(house: House) -> None:
    """Restored twice, it would give the same tokens twice; `again` says that this is wanted."""
    first = go(house.first())
    assert first.result is not None

    async def check() -> None:
        async with house.next("first", "second") as trip:
            assert trip.operation.intent(trip.request, "second") == trip.intent  # asked again after trouble
        house.record(first, "second", state=JobState.SUBMITTING, receipt=None, due_at=1e12)

    go(check())
    refuses(house, "first", "second continues this job already", job_id="third")

    async def again() -> None:
        async with house.next("first", "third", again=True) as trip:
            await trip.submit()

    go(again())


@pytest.mark.parametrize(
    ("state", "failure", "changes", "free"),
    [
        (JobState.FAILED, "refused", {"receipt": None}, True),
        (JobState.FAILED, "invalid", {"receipt": None}, True),
        (JobState.FAILED, "given_up", {"receipt": None}, False),
        (JobState.FAILED, "refused", {}, False),  # its files were
        (JobState.FAILED, "provider_failed", {}, False),
        (JobState.EXPIRED, "expired", {"receipt": None, "intent": None}, True),
        (JobState.EXPIRED, "expired", {"receipt": None}, False),
        (JobState.CANCELLED, "cancelled", {"receipt": None, "intent": None}, True),
        (JobState.CANCELLED, "cancelled", {}, False),
        (JobState.SUCCEEDED, None, {}, False),
    ],
    ids=str,
)
def test_a_job_that_was_never_ordered_leaves_the_snapshot_free(
    house: House, state: JobState, failure: str | None, changes: dict[str, Any], free: bool
) -> None:
    """Only what certainly never arrived does."""
    first = go(house.first())
    house.bench.notes.remember("unique_tokens", "continued:first", "second")
    why = Failure(failure, "…") if failure else None
    house.record(first, "second", **{"state": state, "failure": why, **changes})
    if not free:
        refuses(house, "first", "continues this job already", job_id="third")
        return

    async def check() -> None:
        async with house.next("first", "third") as trip:
            await trip.submit()

    go(check())
    assert house.bench.notes.recall("unique_tokens", "continued:first") == "third"


def test_a_reservation_outlives_the_snapshot_and_is_forgotten(house: House) -> None:
    """While the former job can be read no other job continues it; afterwards none can, and the note goes."""
    first = go(house.first())
    notes, clock = house.bench.notes, house.bench.clock

    async def check() -> None:
        async with house.next("first", "second"):
            pass

    go(check())
    clock.advance(7 * 86400.0 - 1)
    assert notes.get(first.id).finished
    refuses(house, "first", "continues this job already", job_id="third")
    clock.advance(2)
    expire(notes, first)
    refuses(house, "first", "past its retention", job_id="third")
    assert notes.recall("unique_tokens", "continued:first") == "second"
    clock.advance(NOTE_OUTLIVES)
    notes.remember("unique_tokens", "continued:another", "x", of_job="another")
    assert notes.recall("unique_tokens", "continued:first") is None


def test_a_stored_snapshot_that_changed_is_never_sent(house: House) -> None:
    """Nor one that cannot be read: that is waited for."""
    first = go(house.first())
    path = Path((first.artifacts[1].uri or "").removeprefix("file://"))
    whole = path.read_bytes()

    write, remove = path.write_bytes, path.unlink

    async def check() -> None:
        async with house.next("first") as trip:
            write(whole[:-1] + b"x")
            with pytest.raises(NotSent, match="changed"):
                await trip.submit()
            remove()
            with pytest.raises(NotSent, match="No such file"):
                await trip.submit()
            assert trip.operation.intent(trip.request, "second")["blob"] == first.artifacts[1].uri
            write(whole + b"x")
            with pytest.raises(InvalidJob, match="changed"):
                trip.operation.intent(trip.request, "second")
            assert house.bench.count(CONTINUE) == {}
            write(whole)
            await trip.submit()

    go(check())


@pytest.mark.parametrize("kind", ["reset_after", "500", "cut_body", "rubbish"])
def test_a_lost_answer_to_the_next_part_is_found_by_its_payment(house: House, kind: Any) -> None:
    """Under the id of the line before, or one of its own; never by the payment of the part before."""
    go(house.first(dismantle=False))

    async def check() -> None:
        async with house.next("first") as trip:
            assert (await trip.locate()).receipt is None
            house.bench.sim.fault("unique_tokens", kind, operation="post_next_part", times=1)
            with pytest.raises(ProviderError) as caught:
                await trip.submit()
            assert caught.value.may_have_arrived  # type: ignore[attr-defined]
            arrived = house.bench.accepted(CONTINUE) > 1
            assert ((await trip.locate()).receipt is not None) is arrived

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
def test_a_snapshot_that_the_service_refuses(house: House, error_http: str) -> None:
    """Permanent, under any HTTP code."""
    house.bench.sim.set_switches("unique_tokens", error_http=error_http)
    first = go(house.first())

    Path((first.artifacts[1].uri or "").removeprefix("file://")).write_bytes(b"no snapshot")

    async def check() -> None:
        digest = hashlib.sha256(b"no snapshot").hexdigest()
        house.record(first, "odd", artifacts=(replace(first.artifacts[1], stored_sha256=digest),))
        async with house.next("odd") as trip:
            with pytest.raises(Refused, match="Snapshot not readable"):
                await trip.submit()

    go(check())


# --- dismantling ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [403, 404, 410])
@pytest.mark.parametrize("error_http", ["true", "as_success"])
def test_a_line_is_dismantled_once_and_may_be_asked_again(house: House, code: int, error_http: str) -> None:
    """A worker that died after the DELETE asks once more: it is gone, which is what was wanted."""
    house.bench.sim.set_switches("unique_tokens", unknown_id_code=code, error_http=error_http)

    async def check() -> None:
        await house.first("other", dismantle=False)
        async with house.bench.trip(PRODUCE) as trip:
            await trip.submit()
            job = await house.finish(trip, "first")
            session = house.bench.notes.recall("unique_tokens", "session")
            for _ in range(3):
                assert await trip.operation.tidy(job) == {"dismantled": True}
            assert house.bench.notes.recall("unique_tokens", "session") == session
            lines = (await trip.operation.provider.call("GET", "/api/tokens"))["data"]
            assert [line["id"] for line in lines] == [(house.bench.notes.get("other").receipt or {})["remote_id"]]

    go(check())


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ({"verification": Verification.PENDING}, {}),
        ({"size": None, "rule": None}, {}),
        ({}, {"dismantle": False}),
    ],
    ids=str,
)
def test_a_line_is_left_alone_while_its_files_are_not_safe(
    house: House, change: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Not verified, not checked by anything, or not wanted."""

    async def check() -> None:
        async with house.bench.trip(PRODUCE, **settings) as trip:
            await trip.submit()
            job = await house.finish(trip, "first")
            job = replace(job, artifacts=(*job.artifacts, replace(job.artifacts[0], **change)))
            assert await trip.operation.tidy(job) == {}

    go(check())
    assert house.bench.count(PRODUCE, "delete_tokens") == {}


@pytest.mark.usefixtures("looks_each_time")
def test_a_line_of_an_earlier_session_is_out_of_reach(house: House) -> None:
    """It is not called dismantled, and a poll says why it finds nothing."""

    async def check() -> None:
        async with house.bench.trip(PRODUCE) as trip:
            await trip.submit()
            job = await house.finish(trip, "first")
            held = house.bench.notes.recall("unique_tokens", "session") or ""
            assert held not in json.dumps(trip.receipt)
            house.bench.notes.forget("unique_tokens", "session", held)
            await trip.operation.provider.session()
            assert await trip.operation.tidy(job) == {}
            with pytest.raises(NotFound, match="earlier session"):
                await trip.observe()
            trip.receipt = {"remote_id": (trip.receipt or {})["remote_id"]}  # as a person resolved it
            with pytest.raises(NotFound) as caught:
                await trip.observe()
            assert "earlier session" not in str(caught.value)

    go(check())


@pytest.mark.parametrize(
    ("kind", "error"), [("500", Unavailable), ("429", Busy), ("reset_after", LostAnswer), ("401", Busy)]
)
def test_trouble_while_dismantling_is_told(house: House, kind: Any, error: type[Exception]) -> None:
    """The stage tries again a few times."""

    async def check() -> None:
        async with house.bench.trip(PRODUCE) as trip:
            await trip.submit()
            job = await house.finish(trip, "first")
            house.bench.sim.fault("unique_tokens", kind)
            with pytest.raises(error):
                await trip.operation.tidy(job)
            house.bench.sim.clear_faults()
            trip.operation.provider.notes.remember("unique_tokens", "session", "s")
            house.bench.sim.clear_faults()

    go(check())


def test_a_delete_that_is_refused_is_not_called_done(house: House) -> None:
    """The list still has the line."""

    def answer(seen: Seen) -> bytes:
        if seen.method == "DELETE":
            return http(409, {"errors": [{"status": 409, "title": "no"}]})
        return _known(seen) or http(200, {"data": [{"id": "L-1", "attributes": {"status": shown[-1]}}]})

    shown = ["finished"]

    async def check() -> None:
        async with scripted(answer) as server, client("unique_tokens", server.url) as provider:
            job = job_of(PRODUCE, {}, {"remote_id": "L-1"})
            with pytest.raises(Refused):
                await provider.operation("produce").tidy(job)
            shown.append("deleted")
            assert await provider.operation("produce").tidy(job) == {"dismantled": True}

    go(check())


# --- the probe -----------------------------------------------------------------------------------------------------


def probed(bench: Bench, **settings: Any) -> dict[str, str]:
    """What the doctor hears: findings and their remedies."""

    async def check() -> dict[str, str]:
        async with bench.provider("unique_tokens", **settings) as provider:
            return {probe.what: probe.remedy for probe in await provider.probe()}

    return go(check())


def test_the_probe_of_an_empty_session(bench: Bench) -> None:
    """It opens the workers' session at most, changes nothing else, and needs no remedy."""
    found = probed(bench)
    assert set(found.values()) == {""}
    assert any("a session was opened" in what for what in found)
    assert any("no lines" in what for what in found)
    assert any("is open" in what for what in probed(bench))
    made = bench.sim.account()["unique_tokens"].requests
    assert set(made) == {"open_session", "list_tokens", "get_alphabet", "get_tokens"}
    assert made["open_session"] == {"201": 1}


@pytest.mark.parametrize("rule", ["plain", "seed_before", "seed_after", "hmac"])
@pytest.mark.parametrize("hash_gzip", [False, True])
@pytest.mark.parametrize("hashes_of", ["plain", "gz"])
def test_the_probe_finds_out_how_files_are_hashed(bench: Bench, rule: str, hash_gzip: bool, hashes_of: str) -> None:
    """And names the setting that is wrong."""
    bench.sim.set_switches("unique_tokens", digest_rule=rule, hash_gzip=hash_gzip)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            await trip.watch()

    go(check())
    of = "gz" if hash_gzip else "plain"
    right = "" if of == hashes_of else f"set SETTLE_UNIQUE_TOKENS__HASHES_OF={of}"
    assert probed(bench, hashes_of=hashes_of)[f"a digest is that of the {of} file, by the rule '{rule}'"] == right
    bench.sim.plan("unique_tokens", paid("wrong")["ident"], wrong_digest=True)


@pytest.mark.parametrize(
    ("switches", "said", "remedy"),
    [
        ({"early_milestone": "current"}, "answered with the record ('started')", ""),
        ({"early_milestone": "errors"}, "answered with an error", ""),
        ({"early_milestone": "held"}, "not answered in time", "SETTLE_UNIQUE_TOKENS__POLL_AT=current"),
    ],
    ids=str,
)
def test_the_probe_finds_out_what_comes_before_a_milestone(
    bench: Bench, switches: dict[str, Any], said: str, remedy: str
) -> None:
    """If a line happens to run."""
    bench.sim.set_switches("unique_tokens", **switches)
    bench.sim.plan("unique_tokens", PRODUCE.reference, duration=1000)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            bench.clock.advance(100)

    go(check())
    found = probed(bench, read_timeout=0.3)
    (what,) = (what for what in found if "milestone" in what)
    assert said in what
    assert remedy in found[what]
    assert bool(remedy) is bool(found[what])


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("code", [403, 404, 410])
def test_the_probe_tells_how_errors_come(bench: Bench, error_http: str, code: int) -> None:
    """Both codes, of HTTP and in the body."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, unknown_id_code=code)
    http_code = code if error_http == "true" else 200
    assert probed(bench)[f"an unknown line is answered with HTTP {http_code}, code {code}"] == ""


@pytest.mark.parametrize(
    ("paths", "remedy"),
    [
        ({"/api/alphabets/": http(404, b"no")}, "CHECK_CAPACITY=false"),
        ({"/api/alphabets/": http(200, {"data": {}})}, "CHECK_CAPACITY=false"),
        ({"/api/tokens/": http(200, {"data": {}})}, "polled until its deadline"),
        ({"/api/tokens": http(200, {"data": {}})}, "resolve them by hand"),
        ({"/api/tokens": http(200, {"data": [{"id": "L-1"}]})}, "resolve them by hand"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_the_probe_names_a_remedy(paths: dict[str, bytes], remedy: str) -> None:
    """One answer that is not as assumed each time."""

    def answer(seen: Seen) -> bytes:
        if found := [made for path, made in paths.items() if seen.path.startswith(path) and path != "/api/tokens"]:
            return found[0]
        if seen.path == "/api/tokens":
            return paths.get("/api/tokens") or http(200, {"data": []})
        return _known(seen) or http(404, {"errors": [{"status": 404}]})

    async def check() -> list[str]:
        async with scripted(answer) as server, client("unique_tokens", server.url) as provider:
            return [probe.remedy for probe in await provider.probe() if probe.remedy]

    (found,) = go(check())
    assert remedy in found
