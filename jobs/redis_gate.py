"""The gate of a provider in Redis: pauses, and turns to send a request, for all workers together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs import codec, pacing
from jobs.pacing import Turn, Turns
from jobs.redis_store import RedisStore


def _threes(answer: Sequence[Any]) -> range:
    return range(2, len(answer), 3)


class GateInRedis(RedisStore):
    """Pauses a provider, and hands out turns."""

    def pause(self, provider: str, seconds: float | None = None) -> float:
        """Close the provider's gate; without `seconds` longer with every call in a row. Returns until when.

        Then it is half open: one job is claimed as the probe, and no other until `pause` or `unpause` tells its
        outcome, or its lease is over.
        """
        shortest, longest = self._pause_limits
        until = self._script["pause"](
            keys=[self._key(provider, "gate")],
            args=[
                self._now(),
                codec.millis(seconds) if seconds is not None else "",
                codec.millis(shortest),
                codec.millis(longest),
            ],
        )
        return int(until) / 1000

    def unpause(self, provider: str) -> None:
        """The provider answers again: open the gate and forget the failures in a row, unless it is still closed."""
        self._script["unpause"](keys=[self._key(provider, "gate")], args=[self._now()])

    def open_gate(self, provider: str) -> None:
        """Open the provider's gate at once, whatever closed it; that of its submissions, too."""
        for breaker in ("gate", "submissions"):
            self._redis.hdel(self._key(provider, breaker), "paused_until", "failures", "probe")

    def admit_submissions(self, provider: str, wanted: int, lease: float) -> tuple[int, float]:
        """Ask the breaker of submissions. Returns how many may be sent, and until when the others wait.

        Args:
            provider: whose submissions.
            wanted: how many would be sent.
            lease: seconds for which a half-open breaker waits for its probe.
        """
        admitted, until = self._script["admit"](
            keys=[self._key(provider, "submissions")], args=[self._now(), wanted, codec.millis(lease)]
        )
        return int(admitted), int(until) / 1000

    def submissions_failed(self, provider: str) -> float:
        """Open the breaker of submissions, for longer with each call in a row. Returns until when, epoch seconds."""
        shortest, longest = self._pause_limits
        until = self._script["pause"](
            keys=[self._key(provider, "submissions")],
            args=[self._now(), "", codec.millis(shortest), codec.millis(longest)],
        )
        return int(until) / 1000

    def submissions_answered(self, provider: str) -> None:
        """A submission was answered by the provider itself: close the breaker of submissions."""
        self._script["unpause"](keys=[self._key(provider, "submissions")], args=[self._now()])

    def submissions_undecided(self, provider: str) -> None:
        """The probe of the breaker of submissions never left: let the next job be it."""
        self._redis.hdel(self._key(provider, "submissions"), "probe")

    def paused_until(self, provider: str) -> float:
        """When the provider's gate opens; 0 if it is open."""
        until = int(self._redis.hget(self._key(provider, "gate"), "paused_until") or 0)
        return until / 1000 if until > self._now() else 0.0

    def turns(
        self, provider: str, rate: float, holder: str, wanted: int, over: Sequence[tuple[str, float]] = ()
    ) -> Turns:
        """Turns to send one request each, for all workers together never more than `rate` in any second.

        Args:
            provider: who is called.
            rate: requests per second, above 0; a fraction above 1 is cut off, below 1 it means one in 1/rate seconds.
            holder: who asks, a name of its own for each process; without `|`.
            wanted: so many, at most.
            over: the tokens of earlier turns, and the time by which their request had arrived.
        """
        answer = self._script["slots"](
            keys=[self._key(provider, part) for part in ("gate", "sends", "queue")],
            args=[
                self._now(),
                rate,
                holder,
                wanted,
                pacing.GUARD,
                pacing.SURE,
                pacing.MOST,
                pacing.AHEAD,
                pacing.QUEUE_LIFETIME,
                *[part for token, arrived in over for part in (token, codec.millis(arrived))],
            ],
        )
        turns = [Turn(answer[i], float(answer[i + 1]) / 1000, float(answer[i + 2]) / 1000) for i in _threes(answer)]
        return Turns(tuple(turns), float(answer[0]) / 1000, closed=bool(answer[1]))
