"""Finding jobs in Redis without reading all of them: sorted sets by creation, for each state and for each tag.

Beside `index` (all jobs of a provider) there is one set per state, `index:state:<state>`, and one per tag,
`index:tag:<name>=<value>`, all with the time of creation as score. The scripts keep them (`accept.lua`, `move.lua`,
`claim.lua`). What was written by a version without them is put in order by `reindex`.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from jobs import codec
from jobs.record import Job, Unreadable
from jobs.redis_records import RecordsInRedis
from jobs.refusals import executed
from jobs.search import Overview, Page, Place, Query, gate_of, tag_text
from jobs.states import UNFINISHED, JobState

#: Ids in the first round trip, and in any later one at most.
_FIRST, _MOST = 200, 4000
#: Records that are put in order in one go.
_REINDEXED = 500
#: Whether the index is whole is looked at so often, seconds.
_LOOKED_AT = 60.0


class _Found(NamedTuple):
    """A job that should be what is wanted, before its record is read."""

    place: Place
    provider: str
    state: JobState | None  #: in whose set it was found


class SearchInRedis(RecordsInRedis):
    """Finds jobs."""

    def find(self, query: Query) -> Page:
        """The jobs that are wanted, newest first, without reading the others."""
        if query.limit <= 0:
            return Page(())
        for provider in query.providers:
            self._mend(provider)
        states: list[JobState | None] = [*query.states] or [None]
        sources = [self._candidates(query, provider, state) for provider in query.providers for state in states]
        candidates = heapq.merge(*sources, key=lambda found: found.place, reverse=True)
        jobs: list[tuple[Place, Job | Unreadable]] = []
        while len(jobs) <= query.limit and (some := list(islice(candidates, query.limit + 1 - len(jobs)))):
            by_id = {job.id: job for job in self._records([(found.provider, found.place.id) for found in some])}
            wrong: dict[str, list[str]] = {}
            for found in some:
                if (job := by_id.get(found.place.id)) is None:
                    continue  # past its retention
                if found.state not in (None, job.state):
                    wrong.setdefault(found.provider, []).append(job.id)
                if query.fits(job) and not (jobs and jobs[-1][0] == found.place):
                    jobs.append((found.place, job))
            for provider, ids in wrong.items():
                self._put(provider, ids)
        last = jobs[query.limit - 1][0] if len(jobs) > query.limit else None
        shown = [job for _, job in jobs[: query.limit]]
        return Page(
            tuple(job for job in shown if isinstance(job, Job)),
            last,
            tuple(job for job in shown if isinstance(job, Unreadable)),
        )

    def _candidates(self, query: Query, provider: str, state: JobState | None) -> Iterator[_Found]:
        """What the sets say, newest first: all that is in each of them, walking along the smallest."""
        index = self._key(provider, "index")
        keys = [f"{index}:tag:{tag_text(name, value)}" for name, value in query.tags.items()]
        if state is not None or not keys:
            keys.append(f"{index}:state:{state.value}" if state is not None else index)
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            pipe.zcard(key)
        sizes = executed(pipe)
        if any(isinstance(held, Exception) for held in sizes):
            return  # what other providers have is found all the same
        along, *others = [key for _, key in sorted(zip(sizes, keys, strict=True))]
        start, size, last = self._start(query, along), min(_FIRST, 2 * query.limit), query.after
        since = codec.millis(query.since) if query.since is not None else 0
        until = codec.millis(query.until) if query.until is not None else None
        while True:
            held = self._redis.zrevrange(along, start, start + size - 1, withscores=True)
            places = [Place(int(score), job_id) for job_id, score in held if query.text in job_id]
            places = [place for place in places if place.created >= since and (until is None or place.created < until)]
            # Others come and go meanwhile, so that a place may be seen twice.
            chosen = [place for place in places if last is None or place < last]
            for place in self._in_all(others, chosen):
                yield _Found(place, provider, state)
                last = place
            if len(held) < size or int(held[-1][1]) < since:
                return
            start, size = start + size, min(2 * size, _MOST)

    def _start(self, query: Query, along: str) -> int:
        """How many members of a set come before all that are wanted."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcount(along, codec.millis(query.until), "+inf") if query.until is not None else pipe.echo("0")
        if query.after is not None:
            pipe.zrevrank(along, query.after.id)
            pipe.zcount(along, f"({query.after.created}", "+inf")
        answers = pipe.execute()
        if query.after is None:
            return int(answers[0])
        return max(int(answers[0]), int(answers[2]) if answers[1] is None else int(answers[1]) + 1)

    def _in_all(self, keys: Sequence[str], places: list[Place]) -> list[Place]:
        for key in keys:
            if not places:
                break
            scores = self._redis.zmscore(key, [place.id for place in places])
            places = [place for place, score in zip(places, scores, strict=True) if score is not None]
        return places

    def overview(self, providers: Sequence[str]) -> list[Overview]:
        """Where the jobs of providers stand: counts, oldest and newest, lateness, gate; with one round trip."""
        now, states = self._now(), sorted(UNFINISHED)
        pipe = self._redis.pipeline(transaction=False)
        for provider in providers:
            index, due = self._key(provider, "index"), self._key(provider, "due")
            pipe.hgetall(self._key(provider, "counts"))
            pipe.hmget(self._key(provider, "gate"), "paused_until", "failures")
            pipe.zcount(self._key(provider, "bundles"), f"({now}", "+inf")
            pipe.zcount(due, "-inf", now)
            pipe.zrange(due, 0, 0, withscores=True)
            pipe.zrevrange(index, 0, 0, withscores=True)
            for state in states:
                pipe.zrange(f"{index}:state:{state.value}", 0, 0, withscores=True)
        answers = executed(pipe)
        nothing: list[Any] = [{}, (None, None), 0, 0, [], [], *([] for _ in states)]
        each = 6 + len(states)
        found = []
        for number, provider in enumerate(providers):
            mine = [
                empty if isinstance(answer, Exception) else answer
                for answer, empty in zip(answers[number * each : (number + 1) * each], nothing, strict=True)
            ]
            counts, (paused, failures), bundles, due, first, latest, *oldest = mine
            created = [ends[0][1] for ends in oldest if ends]
            gate = gate_of(now, int(paused or 0), int(failures or 0))
            known, unreadable = codec.to_counts(counts)
            found.append(
                Overview(
                    provider,
                    counts=known,
                    oldest=min(created) / 1000 if created else None,
                    latest=latest[0][1] / 1000 if latest else None,
                    due=due,
                    lateness=max(now - first[0][1], 0) / 1000 if first else 0.0,
                    bundles=bundles,
                    gate=gate,
                    paused_until=int(paused) / 1000 if gate == "closed" else 0.0,
                    failures=int(failures or 0),
                    unreadable=unreadable,
                )
            )
        return found

    def newest(self, providers: Sequence[str], limit: int) -> list[str]:
        """The ids of the latest jobs of all these providers together, newest first, with one round trip."""
        return [place.id for place, _ in self._newest(providers, limit)]

    def newest_tags(self, providers: Sequence[str], limit: int) -> list[str]:
        """The tags of the latest jobs as `name=value`, each once, newest first, with one round trip more."""
        found = self._newest(providers, limit)
        if not found:
            return []
        pipe = self._redis.pipeline(transaction=False)
        for place, provider in found:
            pipe.hget(f"{self._key(provider, 'index')}:tagged", place.id)
        return list(dict.fromkeys(tag for held in executed(pipe) if isinstance(held, str) for tag in json.loads(held)))

    def _newest(self, providers: Sequence[str], limit: int) -> list[tuple[Place, str]]:
        """Where the latest jobs stand, each with its provider."""
        if limit <= 0 or not providers:
            return []
        pipe = self._redis.pipeline(transaction=False)
        for provider in providers:
            pipe.zrevrange(self._key(provider, "index"), 0, limit - 1, withscores=True)
        held_by = [
            (name, held)
            for name, held in zip(providers, executed(pipe), strict=True)
            if not isinstance(held, Exception)
        ]
        places = [(Place(int(score), job_id), name) for name, held in held_by for job_id, score in held]
        return heapq.nlargest(limit, places)

    def reindex(self, provider: str, tell: Callable[[int], None] | None = None) -> int:
        """Put what `find` searches in order, whatever an older version left behind. Returns how many jobs there are.

        Args:
            provider: its name.
            tell: told how many more jobs are done, now and then.
        """
        total = 0
        cursor = 0
        while True:
            cursor, some = self._redis.zscan(self._key(provider, "index"), cursor, count=_REINDEXED)
            self._put(provider, [job_id for job_id, _ in some])
            total += len(some)
            if tell is not None:
                tell(len(some))
            if not cursor:
                return total

    def _put(self, provider: str, ids: Sequence[str]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipe.hget(self._key(provider, "job", job_id), "doc")
        flat = []
        for job_id, doc in zip(ids, executed(pipe), strict=True):
            flat += [job_id, codec.tag_texts(json.loads(doc)["tags"] if isinstance(doc, str) else {})]
        if flat:
            self._script["index"](
                keys=[self._key(provider, "index")],
                args=[self._key(provider, "job", ""), " ".join(state.value for state in JobState), *flat],
            )

    def _mend(self, provider: str) -> None:
        """Put the index in order if jobs are missing in it, as those that an older version accepted are."""
        now = time.monotonic()
        if now < self._looked_at.get(provider, 0.0):
            return
        self._looked_at[provider] = now + _LOOKED_AT
        index = self._key(provider, "index")
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcard(index)
        for state in JobState:
            pipe.zcard(f"{index}:state:{state.value}")
        answers = executed(pipe)
        if any(isinstance(answer, Exception) for answer in answers):
            return
        total, *each = answers
        if sum(each) != total:
            self.reindex(provider)
