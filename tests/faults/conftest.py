"""What the fault tests share: a house whose workers may die, and the measures by which a job was treated well.

Every count of submissions is the simulator's; every time is that of the job's own events in the ledger.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from celery import Celery

import simulator
from jobs.errors import IllegalMove, JobNotFound
from jobs.ledger import Event, Ledger
from jobs.record import Job
from jobs.states import JobState
from simulator import samples
from simulator.account import JobAccount
from simulator.plans import PROVIDERS, Provider
from tests.acceptance.conftest import House
from tests.acceptance.servers import Servers
from tests.waiting import until
from workflows.acts import resolving
from workflows.command.stack import Process, celery, pointed_at, running

LEASE = 3.0
#: A job may wait for so long beyond its lease and beyond what the provider itself needs, seconds.
GRACE = 5.0
SPEED = 60.0

#: A short lease, calls that are shorter still, and a broker that soon delivers the messages of the dead again.
QUICK = {
    "SETTLE_LEASE": f"{LEASE:g}",
    "SETTLE_DOUBT_GRACE": "1",
    "SETTLE_STAGE_TIME_LIMIT": "5",
    "SETTLE_VISIBILITY_TIMEOUT": "6",
} | {
    f"SETTLE_{provider.upper()}__{timeout}": "1"
    for provider in PROVIDERS
    for timeout in ("CONNECT_TIMEOUT", "READ_TIMEOUT")
}

SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"
ENDED = ("succeeded", "failed", "expired", "cancelled")


@dataclass(frozen=True)
class Sent:
    """A job as it was triggered, and how it shall end.

    Args:
        id: of the job.
        provider: the remote API.
        reference: under which the simulator's account has it; none if the body has nothing of the sort.
        workflow: its name.
        kwargs: its body.
        seconds: what the provider itself needs, in real seconds.
        ends: the state in which it shall end.
        kind: the kind of its failure, if it shall fail.
    """

    id: str
    provider: Provider
    reference: str | None
    workflow: str
    kwargs: dict[str, Any]
    seconds: float
    ends: str
    kind: str | None


@dataclass(frozen=True)
class Stall:
    """How long a job waited for us on one step of its way."""

    seconds: float
    job_id: str
    step: str

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s ({self.job_id}, {self.step})"


class Ward(House):
    """A house whose workers are started side by side, die, and are never waited for."""

    def start(
        self, *arguments: str, name: str = "worker", command: Sequence[str] | None = None, **settings: str
    ) -> Process:
        """Start one more worker, without waiting for it."""
        own = ("worker", "-n", f"{name}-{uuid.uuid4().hex[:6]}@%h", *arguments)
        started = Process(
            name,
            [*command, *own] if command else celery(*own),
            {**self.environment, **settings},
            lambda _, line: self.log.append(line),
        )
        self.exits.enter_context(running(started))
        self.exits.callback(kill, started)
        return started

    def worker(self, *arguments: str, name: str = "worker", **settings: str) -> Process:
        """Start one more worker and wait until it is ready."""
        return ready(self.start(*arguments, name=name, **settings))

    def pair(self, *arguments: str, **settings: str) -> list[Process]:
        """Two equal workers, ready."""
        pair = [self.start(*arguments, **settings) for _ in range(2)]
        return [ready(worker) for worker in pair]

    # Triggers, each a job of one provider.

    def certify(self, name: str, *, duration: float = 30.0, fails: bool = False) -> Sent:
        """myIPR: the certificate is fetched, too."""
        self.sim.plan("myipr", name, outcome="failed" if fails else "success", duration=duration)
        body = samples.certificate_request(name)
        kwargs = {key: body[key] for key in ("name", "category_id", "hash", "size")}
        return self.trigger("myipr", "myipr.certify", name, name, kwargs, duration, "provider_failed" if fails else "")

    def produce(self, name: str, *, duration: float = 30.0, wrong: bool = False, size: int = 1000) -> Sent:
        """Unique Tokens: a token file is fetched and verified; `wrong` publishes another digest."""
        paid = samples.payment(name)
        self.sim.plan("unique_tokens", paid["ident"], outcome="success", duration=duration, wrong_digest=wrong)
        payment = {"id": paid["id"], "ident": paid["ident"]}
        kwargs = {"alphabet": "UPPER_HEX", "digits": 12, "size": size, "payment": payment, "seed": SEED}
        kind = "digest_mismatch" if wrong else ""
        return self.trigger("unique_tokens", "unique_tokens.produce", name, paid["ident"], kwargs, duration, kind)

    def declare(self, name: str, *, duration: float = 30.0, fails: bool = False) -> Sent:
        """CommonsDB: a public declaration."""
        body = samples.declaration(name=name)
        self.sim.plan("commonsdb", name, outcome="failed" if fails else "success", duration=duration)
        reference = samples.cid_v1(body["declarationMetadata"]["publicMetadata"])
        kind = "provider_failed" if fails else ""
        return self.trigger("commonsdb", "commonsdb.declare", name, reference, {"declaration": body}, duration, kind)

    def convert(self, name: str, *, duration: float = 30.0, fails: bool = False, order: bool = True) -> Sent:
        """LettrLabs: one record; without an `orderId` the provider cannot tell a repeat from a new one."""
        record = samples.conversion(name)
        if order:
            self.sim.plan("lettrlabs", name, outcome="failed" if fails else "success", duration=duration)
        else:
            del record["orderId"]
        kind = "provider_failed" if fails else ""
        kwargs = {"conversions": [record]}
        return self.trigger("lettrlabs", "lettrlabs.convert", name, name if order else None, kwargs, duration, kind)

    def trigger(
        self,
        provider: Provider,
        workflow: str,
        job_id: str,
        reference: str | None,
        kwargs: dict[str, Any],
        duration: float,
        kind: str,
    ) -> Sent:
        """Send one trigger, as any client would."""
        self.send(workflow, kwargs, job_id)
        ends = "failed" if kind else "succeeded"
        return Sent(job_id, provider, reference, workflow, kwargs, duration / SPEED, ends, kind or None)

    def one_of_each(self, tag: str, *, duration: float = 30.0) -> list[Sent]:
        """A job of every provider."""
        makers = (self.certify, self.produce, self.declare, self.convert)
        return [make(f"{tag}-{make.__name__}", duration=duration) for make in makers]

    # What became of them.

    def job(self, sent: Sent) -> Job | None:
        """The record, if the trigger has arrived."""
        with suppress(JobNotFound):
            return self.ledger.get(sent.id)
        return None

    def state(self, sent: Sent) -> str | None:
        """The job's state, if the trigger has arrived."""
        state = self.redis.hget(f"settle:{{{sent.provider}}}:job:{sent.id}", "state")
        return cast("str | None", state)

    def finished(self, jobs: Iterable[Sent]) -> bool:
        """Whether all of them are over."""
        return all(self.state(sent) in ENDED for sent in jobs)

    def resolve(self, jobs: Iterable[Sent]) -> int:
        """Be the person who resolves doubts that were asked about twice: what the provider never got is sent again.

        Returns:
            How many doubts were resolved.
        """
        resolved = 0
        for sent in [sent for sent in jobs if self.state(sent) == "in_doubt"]:
            job = self.job(sent)
            if job is not None and job.attempts >= 2 and self.submits(sent).accepted == 0:
                with suppress(IllegalMove):  # it was moved just now
                    move = resolving(None, resubmit=True)(job, time.time())
                    resolved += sum(written is not None for written in self.ledger.write([move]))
        return resolved

    def assert_ended_well_once(
        self, jobs: Sequence[Sent], patience: float = 60.0, *, faults: bool = False, person: bool = False
    ) -> None:
        """Wait for the end of all jobs, and see that each ended as it should and was submitted once.

        Args:
            jobs: as triggered.
            patience: seconds.
            faults: whether injected faults kept submissions from being accepted, so that there had to be another.
            person: whether somebody resolves the doubts that CommonsDB and Unique Tokens cannot settle.

        Raises:
            AssertionError: what is wrong with which job.
        """
        try:
            until(lambda: self.finished(jobs) or (person and self.resolve(jobs) < 0), "the end of all jobs", patience)
        except AssertionError:
            left = [(sent.id, self.state(sent)) for sent in jobs if self.state(sent) not in ENDED]
            raise AssertionError(f"{len(left)} job(s) not over in {patience:g} s: {left[:20]}") from None
        wrong = [told for sent in jobs if (told := self._wrong(sent))]
        assert not wrong, "\n".join(wrong[:20])
        self.assert_sent_once(jobs, faults=faults)

    def _wrong(self, sent: Sent) -> str | None:
        job = self.ledger.get(sent.id)
        kind = job.failure.kind if job.failure else None
        if (job.state.value, kind) != (sent.ends, sent.kind):
            return f"{sent.id}: {job.state.value} {job.failure} instead of {sent.ends} {sent.kind or ''}"
        # What the caller sees is the same thing.
        seen = json.loads(cast("str", self.redis.get(f"celery-task-meta-{sent.id}")))
        if seen["status"] != ("SUCCESS" if sent.ends == "succeeded" else "FAILURE"):
            return f"{sent.id}: the caller sees {seen['status']}"
        return None

    def submits(self, sent: Sent) -> JobAccount:
        """The simulator's account of a job."""
        return self.sim.account()[sent.provider].jobs.get(str(sent.reference), JobAccount())

    def assert_sent_once(self, jobs: Iterable[Sent], *, faults: bool = False) -> None:
        """See in the simulator's account that each job was accepted once, and (unless faults did that) sent once."""
        books = self.sim.account()
        wrong = []
        for sent in jobs:
            entry = books[sent.provider].jobs.get(str(sent.reference), JobAccount())
            if entry.accepted != 1 or (entry.submits != 1 and not faults):
                wrong.append(f"{sent.id}: submits {entry.submits}, accepted {entry.accepted}")
        assert not wrong, wrong[:20]
        assert not any(books[provider].doubles for provider in PROVIDERS)

    def stalls(self, jobs: Sequence[Sent]) -> list[Stall]:
        """How long each job waited for us at the worst, the longest first; the provider's own time does not count."""
        history: dict[str, list[Event]] = {sent.id: [] for sent in jobs}
        for provider in PROVIDERS:
            for event in self.ledger.events(provider):
                if event.job_id in history:
                    history[event.job_id].append(event)
        found = [max(_waits(sent, history[sent.id]), key=lambda each: each.seconds) for sent in jobs]
        return sorted(found, key=lambda each: -each.seconds)

    def assert_in_time(self, jobs: Sequence[Sent], what: str, allowed: float = LEASE + GRACE) -> Stall:
        """See that no job waited longer than its lease and the grace; tells the longest."""
        worst = self.stalls(jobs)[0]
        print(f"\n{what}: longest stall {worst}")  # noqa: T201
        assert worst.seconds <= allowed, worst
        return worst

    def leftovers(self) -> list[str]:
        """Files in the storage that are no job's."""
        stored = Path(self.environment["SETTLE_STATE_DIR"]) / "artifacts"
        return [str(path.relative_to(stored)) for path in stored.rglob("*.part")]


def _waits(sent: Sent, events: Sequence[Event]) -> Iterator[Stall]:
    """The waits of one job. While the provider works, news is optional, so only the time after it counts."""
    moves = [event for event in events if event.source is not event.target]
    posted = next((event.at for event in moves if event.target is JobState.SUBMITTING), 0.0)
    yield Stall(0.0, sent.id, "at once")
    for before, after in pairwise(moves):
        since = before.at
        if before.target is JobState.POLLING:
            since = max(since, posted + sent.seconds)
        yield Stall(after.at - since, sent.id, f"{before.target.value} → {after.target.value}")


def kill(worker: Process) -> None:
    """kill -9 of a whole worker, pool processes included."""
    with suppress(ProcessLookupError):
        os.killpg(worker.process.pid, 9)
    worker.process.wait(10)


def ready(worker: Process) -> Process:
    """Wait until a started worker works."""
    worker.wait_for(" ready.")
    return worker


def alive(workers: Iterable[Process]) -> list[Process]:
    """Those that still run."""
    return [worker for worker in workers if worker.process.poll() is None]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Ward]:
    """A house of one's own, without workers yet."""
    with ExitStack() as exits:
        server = exits.enter_context(Servers(tmp_path))
        sim = exits.enter_context(simulator.running(speed=SPEED, seed=11))
        sim.set_switches("lettrlabs", repeated_order_id="accepted")  # a second POST shows
        client = Celery(broker=server.url, set_as_current=False)  # results are read where a caller's backend does
        exits.callback(client.close)
        connection = exits.enter_context(redis.Redis.from_url(server.url, decode_responses=True))
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SETTLE_")}
        environment = {
            **clean,
            **pointed_at(sim.url),
            **QUICK,
            "SETTLE_REDIS_URL": server.url,
            "SETTLE_STATE_DIR": str(tmp_path),
            "PYTHONUNBUFFERED": "1",
        }
        ward = Ward(server, sim, environment, client, connection, Ledger(connection), exits)
        yield ward
        # For whoever looks into a failure: pytest keeps the folders of the last runs.
        (tmp_path / "workers.log").write_text("\n".join(ward.log))


def every(seconds: float, do: Callable[[], Any], while_: Callable[[], bool]) -> int:
    """Do something again and again while a condition holds; tells how often."""
    done, due = 0, time.monotonic() + seconds
    while while_():
        if time.monotonic() >= due:
            do()
            done, due = done + 1, time.monotonic() + seconds
        time.sleep(0.02)
    return done
