"""The records of jobs in Redis: accepted once, read one by one, many at a time, or at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from jobs import codec
from jobs.errors import JobNotFound
from jobs.ledger_types import Acceptance, Glance
from jobs.record import Announcement, Job, Unreadable
from jobs.redis_store import RedisStore
from jobs.refusals import PartlyAccepted, executed


class RecordsInRedis(RedisStore):
    """Accepts and reads."""

    def accept(self, job: Job, announcement: Announcement | None = None) -> Acceptance:
        """Record a job, once. Nothing changes unless the answer is `CREATED`."""
        return self.accept_all([(job, announcement)])[0]

    def accept_all(self, jobs: Sequence[tuple[Job, Announcement | None]]) -> list[Acceptance]:
        """Record jobs, each as `accept` does, with a few round trips for all of them."""
        if not jobs:
            return []
        # The owner key is a command of its own: it lies in another slot than the provider's keys. It is forgotten
        # after the job, and never before: no deadline bounds the time for which a job may wait for its workers. A
        # crash in between is healed by the next trigger.
        pipe = self._redis.pipeline(transaction=False)
        for job, _ in jobs:
            pipe.set(self._owner(job.id), job.provider, nx=True)
            pipe.get(self._owner(job.id))
        answers = executed(pipe)
        firsts, owners = answers[::2], answers[1::2]
        pipe = self._redis.pipeline(transaction=False)
        for (job, announcement), owner in zip(jobs, owners, strict=True):
            if owner == job.provider:
                self._add_accept(pipe, job, announcement)
        said = iter(executed(pipe))
        found: list[Acceptance | None] = []
        reason = ""
        for (job, _), first, owner in zip(jobs, firsts, owners, strict=True):
            answer = next(said) if owner == job.provider else owner
            if isinstance(answer, Exception):
                reason = str(answer)
                found.append(None)
                continue
            found.append(Acceptance(answer) if owner == job.provider else Acceptance.CONFLICT)
            if found[-1] is Acceptance.CREATED:
                self._keep_owner(job, first=bool(first))
        if reason:
            raise PartlyAccepted(reason, found)
        return [answer for answer in found if answer is not None]

    def _keep_owner(self, job: Job, *, first: bool) -> None:
        """A new job's owner key lives as long as the job."""
        if job.finished:
            self._redis.pexpire(self._owner(job.id), self._retention)
        elif not first:  # the owner of a forgotten job with the same id, about to be forgotten itself
            pipe = self._redis.pipeline(transaction=False)
            pipe.set(self._owner(job.id), job.provider, nx=True)
            pipe.persist(self._owner(job.id))
            pipe.execute()

    def _add_accept(self, pipe: Any, job: Job, announcement: Announcement | None) -> None:
        fields = [part for pair in codec.to_fields(job).items() for part in pair]
        self._script["accept"](
            keys=[
                self._key(job.provider, "job", job.id),
                self._key(job.provider, "due"),
                self._key(job.provider, "index"),
                self._key(job.provider, "events"),
                self._key(job.provider, "counts"),
                self._key(job.provider, "done"),
                announcement.key if announcement else "",
            ],
            args=[
                job.id,
                job.digest,
                job.state.value,
                codec.millis(job.created_at),
                codec.millis(job.due_at) if job.due_at is not None else "",
                self._retention,
                codec.event_data(job),
                self._events_kept,
                announcement.value if announcement else "",
                announcement.ttl if announcement else 0,
                codec.tag_texts(job.tags),
                *fields,
            ],
            client=pipe,
        )

    def provider_of(self, job_id: str) -> str:
        """The provider under which an id is recorded.

        Raises:
            JobNotFound: no job has this id.
        """
        provider = self._redis.get(self._owner(job_id))
        if provider is None:
            raise JobNotFound(f"no job {job_id!r} in the ledger: never triggered, or past its retention")
        return cast("str", provider)

    def get(self, job_id: str) -> Job:
        """Read one job.

        Raises:
            JobNotFound: no job has this id.
            RecordTooNew: a newer version wrote its record.
        """
        provider = self.provider_of(job_id)
        for found in self._records([(provider, job_id)]):
            if isinstance(found, Unreadable):
                raise found.error()
            return found
        raise JobNotFound(f"no job {job_id!r} in the ledger: past its retention")

    def read(self, job_ids: Sequence[str]) -> list[Job | Unreadable | None]:
        """Read jobs of any providers with two round trips, in this order; none for an id that is not recorded."""
        pipe = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipe.get(self._owner(job_id))
        owners = zip(executed(pipe), job_ids, strict=True)
        wanted = [(owner, job_id) for owner, job_id in owners if isinstance(owner, str)]
        found = {job.id: job for job in self._records(wanted)} if wanted else {}
        return [found.get(job_id) for job_id in job_ids]

    def _records(self, wanted: Sequence[tuple[str, str]]) -> Iterator[Job | Unreadable]:
        """The jobs with these providers and ids, in this order; without those that are gone."""
        pipe = self._redis.pipeline(transaction=False)
        for provider, job_id in wanted:
            pipe.hgetall(self._key(provider, "job", job_id))
            pipe.zscore(self._key(provider, "due"), job_id)
        # Among others, one whose key holds something else is left out like one that is gone.
        answers = executed(pipe) if len(wanted) > 1 else pipe.execute()
        for (_, job_id), fields, due in zip(wanted, answers[::2], answers[1::2], strict=True):
            if fields and not isinstance(fields, Exception) and not isinstance(due, Exception):
                yield codec.read(job_id, fields, due / 1000 if due is not None else None)

    def glance(self, job_ids: Sequence[str]) -> list[Glance | None]:
        """Where jobs of any providers are, in this order; none for an id that is not recorded."""
        pipe = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipe.get(self._owner(job_id))
        owners = executed(pipe)
        for job_id, owner in zip(job_ids, owners, strict=True):
            pipe.hmget(self._key(owner if isinstance(owner, str) else "", "job", job_id), "state", "chain")
        found = [(None, None) if isinstance(answer, Exception) else answer for answer in executed(pipe)]
        return [codec.to_glance(state, chain) if state else None for state, chain in found]

    def ended(self, provider: str, since: float, until: float) -> list[str]:
        """The jobs that ended after one time, up to another, and are still kept; seconds since the epoch."""
        first, last = (codec.millis(at) + self._retention for at in (since, until))
        found: list[str] = self._redis.zrangebyscore(self._key(provider, "done"), f"({first}", last)
        return found

    def copied(self, jobs: Sequence[Job], replicas: int, within: float) -> list[bool]:
        """Whether each record stands in the ledger as it is here, and so many replicas of the ledger know it too.

        Args:
            jobs: of one provider, as they were just written.
            replicas: so many, at least.
            within: they are waited for so long, seconds.
        """
        # All on one connection, and so on one server: after a fail-over in between, another one would be asked that may
        # never have seen these records. WAIT counts from the last write of its own connection, hence the key.
        pipe = self._redis.pipeline(transaction=False)
        for job in jobs:
            pipe.hmget(self._key(job.provider, "job", job.id), "state", "seq")
        pipe.set(self._key(jobs[0].provider, "copied"), self._now(), px=60_000)
        pipe.execute_command("WAIT", replicas, codec.millis(within))
        *records, _, reached = pipe.execute()
        return [
            int(reached) >= replicas and record == [job.state.value, str(job.seq)]
            for job, record in zip(jobs, records, strict=True)
        ]
