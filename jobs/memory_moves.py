"""Claims and moves in memory, as the scripts make them in Redis."""

from __future__ import annotations

import math
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from jobs import codec
from jobs.ledger import Bundle, Claim, ClaimLimits
from jobs.memory_store import MemoryStore, Shelf
from jobs.record import Job, Move
from jobs.states import IN_HAND, JobState


class MovesInMemory(MemoryStore):
    """Claims jobs and moves them."""

    def claim(self, provider: str, limits: ClaimLimits) -> Bundle:
        """Take what is due, atomically, and push its wake-up times forward by the lease."""
        shelf, now, name = self._shelves[provider], self._now(), uuid.uuid4().hex[:12]
        self._expire(shelf)
        if shelf.paused_until > now:
            return Bundle(f"{name}|0", (), (shelf.paused_until - now) / 1000)
        size = limits.bundle_size
        if shelf.failures:
            if shelf.probe_until > now:
                return Bundle(f"{name}|0", (), (shelf.probe_until - now) / 1000)
            size = 1
        shelf.bundles = {member: end for member, end in shelf.bundles.items() if end > now}
        flying = sum(int(member.rpartition("|")[2]) for member in shelf.bundles)
        if len(shelf.bundles) >= limits.bundles or (limits.in_flight and flying >= limits.in_flight):
            return Bundle(f"{name}|0", (), min(10, *(end - now for end in shelf.bundles.values())) / 1000)
        if limits.in_flight:
            size = min(size, limits.in_flight - flying)
        tokens = 0.0
        if limits.rate:
            if shelf.sends.waiting(now) >= max(1, limits.rate / 5):
                return Bundle(f"{name}|0", (), 0.05)
            burst = max(2.0, limits.rate / 10)
            held, at = shelf.tokens or (burst, now)
            tokens = min(burst, held + (now - at) * limits.rate * 1.1 / 1000)
            if tokens < 1:
                wait = math.ceil((burst / 2 - tokens) * 1000 / (limits.rate * 1.1))
                return Bundle(f"{name}|0", (), wait / 1000)
            size = min(size, int(tokens))
        due = sorted((at, job_id) for job_id, at in shelf.due.items() if at <= now)[:size]
        taken = [self._raise(shelf, job_id, limits.lease) for _, job_id in due]
        claims = tuple(Claim(job.id, job.seq, job.state, at / 1000) for job, (at, _) in zip(taken, due, strict=True))
        if claims:
            shelf.bundles[f"{name}|{len(claims)}"] = now + codec.millis(limits.lease)
            if limits.rate:
                shelf.tokens = (tokens - len(claims), now)
        if shelf.failures and any(job.state not in (JobState.VERIFYING, JobState.EMITTING) for job in taken):
            shelf.probe_until = now + codec.millis(limits.lease)
            shelf.prober = f"{name}|1" if taken[0].state is not JobState.FETCHING else ""
        next_due = max(0, min(shelf.due.values()) - now) / 1000 if shelf.due else None
        return Bundle(f"{name}|{len(claims)}", claims, next_due)

    def _raise(self, shelf: Shelf, job_id: str, lease: float) -> Job:
        shelf.jobs[job_id] = replace(shelf.jobs[job_id], seq=shelf.jobs[job_id].seq + 1)
        shelf.due[job_id] = self._now() + codec.millis(lease)
        return self._read(shelf, job_id)

    def _hold(self, shelf: Shelf, job_id: str, lease: float) -> Job:
        job = self._raise(shelf, job_id, lease)
        shelf.lease[job_id], shelf.floor[job_id] = shelf.due[job_id], job.seq
        return job

    def claim_all(self, limits: Mapping[str, ClaimLimits]) -> dict[str, Bundle]:
        """Claim of each of these providers."""
        return {provider: self.claim(provider, own) for provider, own in limits.items()}

    def begin(
        self, provider: str, wakes: Iterable[tuple[str, int | None]], states: Collection[JobState], lease: float
    ) -> list[Job]:
        """Start a stage on jobs in its states claimed since their last move; without `seq`, if nobody holds them."""
        shelf = self._shelves[provider]
        begun = []
        for job_id, seq in wakes:
            job = shelf.jobs.get(job_id)
            if job is None or job_id not in shelf.due or job.state not in states:
                continue
            free = shelf.lease[job_id] <= self._now() if seq is None else shelf.floor[job_id] < seq <= job.seq
            if free:
                begun.append(self._hold(shelf, job_id, lease))
        return begun

    def renew(self, job: Job, lease: float) -> bool:
        """Hold a job for another lease; false if it was lost to somebody else."""
        shelf = self._shelves[job.provider]
        if job.id not in shelf.due or shelf.jobs[job.id].seq != job.seq:
            return False
        shelf.lease[job.id] = shelf.due[job.id] = self._now() + codec.millis(lease)
        return True

    def write(self, moves: Sequence[Move]) -> list[Job | None]:
        """Write moves in one go; the job as it stands now, or none where somebody else moved it in between."""
        return [self._write(move) for move in moves]

    def _write(self, move: Move) -> Job | None:
        shelf, before = self._shelves[move.before.provider], move.before
        held = shelf.jobs.get(before.id)
        if held is None or (held.state, held.seq) != (before.state, before.seq):
            return None
        after = self._stored(move.after)
        shelf.jobs[after.id] = after
        if before.state != after.state:
            shelf.counts[before.state] -= 1
            shelf.counts[after.state] += 1
        self._schedule(shelf, after)
        again = shelf.again.pop(after.id, None)
        if again is not None and before.state is after.state is JobState.POLLING and after.wish is None:
            shelf.due[after.id] = min(shelf.due[after.id], max(self._now(), again))
        shelf.floor[after.id] = after.seq
        shelf.lease[after.id] = shelf.due[after.id] if after.state in IN_HAND else 0
        self._tell(shelf, before.state, after, move.announcement, news=move.news)
        return after

    def hasten(self, provider: str, job_ids: Sequence[str], spacing: float) -> int:
        """Bring the next look at jobs forward; returns for how many."""
        shelf, now, hastened = self._shelves[provider], self._now(), 0
        for job_id in job_ids:
            job = shelf.jobs.get(job_id)
            if job is None or shelf.due.get(job_id, 0) <= now or job.state is not JobState.POLLING or job.wish:
                continue
            if job.seq != shelf.floor[job_id]:  # claimed, and so about to be looked at
                continue
            look = max(now, shelf.hastened[job_id] + codec.millis(spacing)) if job_id in shelf.hastened else now
            if shelf.lease[job_id] > now:
                if job_id in shelf.again:
                    continue
                shelf.again[job_id] = look
            elif look < shelf.due[job_id]:
                shelf.due[job_id] = look
            else:
                continue
            shelf.hastened[job_id] = look
            hastened += 1
        return hastened

    def close_bundle(self, provider: str, bundle: str) -> None:
        """A bundle is no longer outstanding."""
        shelf = self._shelves[provider]
        shelf.bundles.pop(bundle, None)
        if bundle == shelf.prober:
            shelf.probe_until = 0
