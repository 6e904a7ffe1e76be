"""The mixed one: a thousand jobs over four providers, while workers are killed every few seconds and Redis twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from kombu.exceptions import OperationalError

from jobs.states import JobState
from simulator.plans import PROVIDERS
from workflows.command.stack import Process

from .conftest import GRACE, LEASE, Sent, Ward, alive, kill, ready

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(280)]

JOBS = 1000
PER_SECOND = 20.0
IN_FLIGHT = 120  # a slow machine gets its triggers later: this is about faults, not about overload
KILL_EVERY = 4.0
RESTARTS = (0.3, 0.7)  # of the triggers sent
WORKERS = 3


def _triggers(house: Ward) -> Iterator[Callable[[], Sent]]:
    """Every tenth job is failed by its provider; of the files every tenth has another digest than was promised."""
    for number in range(JOBS // 4):
        bad = number % 10 == 9
        seconds = 20.0 + 40.0 * (number % 8)
        yield lambda n=number, b=bad, s=seconds: house.certify(f"m-{n}", duration=s, fails=b)  # type: ignore[misc]
        yield lambda n=number, b=bad, s=seconds: house.produce(f"u-{n}", duration=s, wrong=b)  # type: ignore[misc]
        yield lambda n=number, b=bad, s=seconds: house.declare(f"c-{n}", duration=s, fails=b)  # type: ignore[misc]
        yield lambda n=number, b=bad, s=seconds: house.convert(f"l-{n}", duration=s, fails=b)  # type: ignore[misc]


class Chaos:
    """Kills the oldest worker every few seconds and starts another; plays the person who resolves doubts."""

    def __init__(self, house: Ward) -> None:
        self.house = house
        self.workers: list[Process] = []
        self.kills = self.restarts = self.resolved = 0
        self._started = 0
        self._next_kill = time.monotonic() + KILL_EVERY
        self._next_look = 0.0

    def start(self) -> None:
        """One more worker; prefork and threads take turns."""
        self._started += 1
        self.workers.append(self.house.start("-P", ("prefork", "threads")[self._started % 2], "-c", "2"))

    def strike(self) -> None:
        """Kill, if it is time for that."""
        if time.monotonic() >= self._next_kill:
            self._next_kill = time.monotonic() + KILL_EVERY
            assert alive(self.workers) == self.workers, "a worker ended by itself"
            kill(self.workers.pop(0))
            self.kills += 1
            self.start()

    def restart_redis(self) -> None:
        """kill -9 of the server, and up again."""
        self.house.server.kill()
        self.house.server.start()
        self.restarts += 1

    def resolve(self, sent: dict[str, Sent]) -> None:
        """What a person does about a job in doubt after two questions: look at the provider, and say what is so."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + 1.0
        if any(self.house.ledger.counts(provider).get(JobState.IN_DOUBT) for provider in PROVIDERS):
            self.resolved += self.house.resolve(sent.values())


def _ended(house: Ward) -> int:
    found = [house.ledger.counts(provider) for provider in PROVIDERS]
    return sum(counts.get(JobState(state), 0) for counts in found for state in ("succeeded", "failed", "expired"))


def test_a_thousand_jobs_while_everything_dies(house: Ward) -> None:
    """1,000 right outcomes, none submitted twice, none stalled longer than its lease and five seconds."""
    # The deliberate waits before a wrong file is fetched once more are no stalls.
    house.environment["SETTLE_FETCH_ATTEMPTS"] = "1"
    chaos = Chaos(house)
    for _ in range(WORKERS):
        chaos.start()
    for worker in chaos.workers:
        ready(worker)
    began = time.monotonic()
    sent: dict[str, Sent] = {}
    restarts = [round(share * JOBS) for share in RESTARTS]
    again = 0
    for number, trigger in enumerate(_triggers(house)):
        while True:
            try:
                job = trigger()
                break
            except (OperationalError, OSError):  # the same job once more, as any caller would
                again += 1
        sent[job.id] = job
        if restarts and number >= restarts[0]:
            chaos.restart_redis()
            restarts.pop(0)
        while time.monotonic() < began + number / PER_SECOND or number - _ended(house) >= IN_FLIGHT:
            chaos.strike()
            chaos.resolve(sent)
            time.sleep(0.01)
    sending = time.monotonic() - began
    while (ended := _ended(house)) < JOBS and time.monotonic() < began + 240:
        if ended < JOBS * 0.98:
            chaos.strike()
        chaos.resolve(sent)
        time.sleep(0.05)
    took = time.monotonic() - began
    jobs = list(sent.values())
    books = house.sim.account()
    entries = [books[job.provider].jobs.get(str(job.reference)) for job in jobs]
    submits = Counter(entry.submits if entry else 0 for entry in entries)
    accepted = Counter(entry.accepted if entry else 0 for entry in entries)
    stalls = house.stalls([job for job in jobs if house.state(job)])
    print(  # noqa: T201
        f"\nfigures: {ended} of {JOBS} ended in {took:.1f} s (sent in {sending:.1f} s, {again} sent again), "
        f"{chaos.kills} workers killed, Redis restarted {chaos.restarts} times, {chaos.resolved} doubts resolved by a "
        f"person; submits {dict(submits)}, accepted {dict(accepted)}; longest stalls: "
        + "; ".join(map(str, stalls[:5]))
    )
    house.assert_ended_well_once(jobs, 10)
    assert stalls[0].seconds <= LEASE + GRACE, stalls[0]
    assert house.leftovers() == []
