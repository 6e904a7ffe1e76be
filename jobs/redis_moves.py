"""Claims and moves in Redis: who may work on a job, and what comes of it. Each is one script."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from redis.exceptions import ResponseError

from jobs import codec
from jobs.errors import RecordTooNew
from jobs.ledger_types import Bundle, Claim, ClaimLimits
from jobs.record import Job, Move
from jobs.redis_store import RedisStore
from jobs.refusals import executed
from jobs.states import IN_HAND, TERMINAL, JobState

logger = logging.getLogger(__name__)

#: The keys of a claim, as its script wants them.
_CLAIMED = ("due", "gate", "bundles", "index", "done", "counts", "queue")

#: What a claim answers in the place of a state if the key of a job holds no record.
_DAMAGED = "damaged"

#: Moves in one call: Redis does nothing else meanwhile.
_AT_ONCE = 100


class MovesInRedis(RedisStore):
    """Claims jobs and moves them."""

    def claim(self, provider: str, limits: ClaimLimits) -> Bundle:
        """Take what is due, atomically, and push its wake-up times forward by the lease."""
        bundle = self.claim_all({provider: limits})[provider]
        if bundle.error is not None:
            raise ResponseError(bundle.error)
        return bundle

    def claim_all(self, limits: Mapping[str, ClaimLimits]) -> dict[str, Bundle]:
        """Claim of each of these providers, with one round trip for all of them."""
        now, bundles = self._now(), {}
        pipe = self._redis.pipeline(transaction=False)
        names = [uuid.uuid4().hex[:12] for _ in limits]
        for name, (provider, own) in zip(names, limits.items(), strict=True):
            self._script["claim"](
                keys=[self._key(provider, part) for part in _CLAIMED],
                args=[
                    now,
                    codec.millis(own.lease),
                    name,
                    own.bundle_size,
                    own.bundles,
                    own.rate,
                    own.in_flight,
                    self._key(provider, "job", ""),
                ],
                client=pipe,
            )
        for name, provider, answer in zip(names, limits, executed(pipe), strict=True):
            if isinstance(answer, Exception):
                bundles[provider] = Bundle(name, (), None, error=str(answer))
                continue
            wait, *flat = answer
            # One in a state of a newer version is left to its lease: that version's workers take it then.
            taken = [
                Claim(str(flat[i]), int(flat[i + 1]), state, int(flat[i + 3]) / 1000)
                for i in range(0, len(flat), 4)
                if (state := codec.to_state(flat[i + 2])) is not None
            ]
            bundles[provider] = Bundle(
                f"{name}|{len(flat) // 4}",
                tuple(taken),
                int(wait) / 1000 if int(wait) >= 0 else None,
                damaged=tuple(flat[i] for i in range(0, len(flat), 4) if flat[i + 2] == _DAMAGED),
            )
        return bundles

    def begin(
        self, provider: str, wakes: Iterable[tuple[str, int | None]], states: Collection[JobState], lease: float
    ) -> list[Job]:
        """Start a stage on jobs in its states claimed since their last move; without `seq`, if nobody holds them."""
        flat = [part for job_id, seq in wakes for part in (job_id, "" if seq is None else seq)]
        now, length = self._now(), codec.millis(lease)
        answer = self._script["begin"](
            keys=[self._key(provider, "due")],
            args=[
                now,
                length,
                self._key(provider, "job", ""),
                f",{','.join(states)},",
                *flat,
            ],
        )
        due = (now + length) / 1000
        begun = []
        for job_id, pairs in answer:
            try:
                begun.append(codec.from_fields(job_id, dict(zip(pairs[::2], pairs[1::2], strict=True)), due))
            except RecordTooNew as error:  # written by a newer version: its workers take it when our lease is over
                logger.warning("record_too_new", extra={"fields": {"job_id": job_id, "reason": str(error)}})
        return begun

    def renew(self, job: Job, lease: float) -> bool:
        """Hold a job for another lease; false if it was lost to somebody else."""
        return bool(
            self._script["renew"](
                keys=[self._key(job.provider, "job", job.id), self._key(job.provider, "due")],
                args=[job.id, job.seq, self._now(), codec.millis(lease)],
            )
        )

    def write(self, moves: Sequence[Move]) -> list[Job | None]:
        """Write moves in one go; the job as it stands now, or none where somebody else moved it in between."""
        if not moves:
            return []
        done: dict[int, int] = {}
        by_provider: defaultdict[str, list[int]] = defaultdict(list)
        for number, move in enumerate(moves):
            by_provider[move.before.provider].append(number)
        for provider, numbers in by_provider.items():
            for start in range(0, len(numbers), _AT_ONCE):
                some = numbers[start : start + _AT_ONCE]
                done.update(zip(some, self._move(provider, [moves[number] for number in some]), strict=True))
        written = [move.after if done[number] else None for number, move in enumerate(moves)]
        if ended := [job.id for job in written if job is not None and job.state in TERMINAL]:
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ended:
                pipe.pexpire(self._owner(job_id), self._retention)
            pipe.execute()
        for move, job in zip(moves, written, strict=True):
            if job is not None and move.before.finished and not job.finished:  # reopened by a person
                self._redis.persist(self._owner(job.id))
        return written

    def _move(self, provider: str, moves: Sequence[Move]) -> list[int]:
        """Write moves of one provider; for each 1, or 0 where somebody else moved the job in between."""
        flat: list[Any] = []
        for move in moves:
            before, after, told = move.before, move.after, move.announcement
            changed, dropped = codec.changed_fields(move)
            due: int | str = codec.millis(after.due_at) if after.due_at is not None else ""
            flat += [
                11 + len(dropped) + 2 * len(changed),
                before.id,
                before.state.value,
                before.seq,
                after.state.value,
                due,
                due if after.state in IN_HAND else 0,
                codec.event_data(after) if move.news else "",
                told.key if told else "",
                told.value if told else "",
                told.ttl if told else 0,
                len(dropped),
                *dropped,
                *chain.from_iterable(changed.items()),
            ]
        answer: list[int] = self._script["move"](
            keys=[self._key(provider, part) for part in ("due", "events", "counts", "done", "index")],
            args=[self._now(), self._retention, self._events_kept, self._key(provider, "job", ""), *flat],
        )
        return answer

    def hasten(self, provider: str, job_ids: Sequence[str], spacing: float) -> int:
        """Bring the next look at jobs forward, because their provider says that there is news.

        Only of jobs that are polled and that nobody paused. Nothing but the wake-up time changes, so a call that is
        lost, doubled or untrue costs nothing: the gate holds, and a poll decides. Of a job in hand the next look comes
        as soon as this one is over.

        Args:
            provider: of the jobs; ids of others, or of none, are left alone.
            job_ids: the jobs.
            spacing: however many calls come, they make one extra look at a job in this time, seconds.

        Returns:
            How many looks were brought forward.
        """
        if not job_ids:
            return 0
        hastened: int = self._script["hasten"](
            keys=[self._key(provider, "due")],
            args=[self._now(), codec.millis(spacing), self._key(provider, "job", ""), *job_ids],
        )
        return hastened

    def close_bundle(self, provider: str, bundle: str) -> None:
        """A bundle is no longer outstanding."""
        self._script["close"](keys=[self._key(provider, "bundles"), self._key(provider, "gate")], args=[bundle])
