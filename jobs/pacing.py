"""The rate of a provider, kept request by request: who may send when, so that no second sees more than the rate.

What is limited is what *arrives*. Between the permission to send and the arrival lie a busy event loop, a connection to
be made and the network, so evenly spaced permissions are not enough. Hence tokens, as many as the rate has whole
requests: a request holds one until a second after its arrival is certain, which is when its answer begins. Two arrivals
under one token are then more than a second apart, whatever delayed the first.

A slow provider would hold its tokens for too long, so there is an allowance: after it a request counts as arrived.
Each is sure of `SURE`; what quick answers leave of it is put aside, up to `MOST` for each token, and lengthens the
allowances to come. A rare stall is thus waited for in full, and a provider that is always slow still gets 0.96 of its
rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

#: Added to each token's second: clocks of two workers, and whole milliseconds, differ by less. Milliseconds.
GUARD = 5
#: Every request is given so long to arrive. With the guard it costs four hundredths of the rate. Milliseconds.
SURE = 30
#: No request is waited for longer than this beyond what is sure. Milliseconds.
MOST = 250
#: Turns are handed out so long before their time, so that none is lost on the way to a worker. Milliseconds.
AHEAD = 100
#: What a holder says of its queue is believed so long. Milliseconds.
QUEUE_LIFETIME = 1000


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to send one request. Times in seconds since the epoch, by the ledger's clock.

    Args:
        token: under which its end is told.
        at: not before.
        until: if it is not sent by then, it counts as sent all the same: take another turn.
    """

    token: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Turns:
    """What was to be had.

    Args:
        turns: in the order of their times.
        wait: seconds until more can be had; 0 if all that was wanted is there.
        closed: whether the provider's gate is closed; then for so long.
    """

    turns: tuple[Turn, ...]
    wait: float
    closed: bool = False


def _rounded(value: float) -> float:
    """As the script writes it, in milliseconds."""
    return float(f"{value:.3f}")


@dataclass
class Tokens:
    """The tokens of one provider in memory: the twin of `slots.lua`. All times are milliseconds."""

    _free: dict[str, float] = field(default_factory=dict)  # a token, and when it is free again
    _sent_at: float = 0.0
    _spare: float | None = None
    _queue: dict[str, tuple[int, int]] = field(default_factory=dict)  # a holder: believed until, so many wait

    def waiting(self, now: int) -> int:
        """How many requests wait for their turn, as far as their holders said so of late."""
        self._queue = {holder: said for holder, said in self._queue.items() if said[0] > now}
        return sum(left for _, left in self._queue.values())

    def hand_out(
        self, now: int, rate: float, holder: str, wanted: int, over: Sequence[tuple[str, int]], paused_until: int
    ) -> Turns:
        """As `Ledger.turns`."""
        many = max(1, int(rate))
        rest, gap, full = GUARD + max(1000, 1000 / rate), 900 / rate, many * MOST
        spare = float(full) if self._spare is None else self._spare
        sent_at = self._sent_at if self._sent_at <= now + AHEAD + 1000 else now  # the clock was set back
        latest = now + AHEAD + rest + SURE + MOST + 1000
        self._free = {token: free for token, free in self._free.items() if free <= latest}
        for token, arrived in over:
            free, early = self._free.get(token), arrived + rest
            if free is not None and early < free:
                spare = min(full, spare + (free - early))
                self._free[token] = _rounded(early)
        if paused_until > now:
            self._queue.pop(holder, None)
            self._spare = _rounded(spare)
            return Turns((), (paused_until - now) / 1000, closed=True)
        self._free = {token: free for token, free in self._free.items() if free > now}
        turns: list[Turn] = []
        wait = 0.0
        for _ in range(wanted):
            at = max(now, sent_at + gap)
            oldest = min(self._free.items(), key=lambda each: (each[1], each[0])) if len(self._free) >= many else None
            if oldest:
                at = max(at, oldest[1])
            if at > now + AHEAD:
                wait = _rounded(at - now - AHEAD)
                break
            if oldest:
                del self._free[oldest[0]]
            allowed = SURE + max(0.0, min(MOST, spare / many))
            spare -= allowed - SURE
            at = _rounded(at)
            token = f"{holder}|{at:.3f}"
            self._free[token] = _rounded(at + rest + allowed)
            sent_at = at
            turns.append(Turn(token, at / 1000, _rounded(at + allowed) / 1000))
        left = wanted - len(turns)
        if left:
            self._queue[holder] = (now + QUEUE_LIFETIME, left)
        else:
            self._queue.pop(holder, None)
        self._sent_at, self._spare = _rounded(sent_at), _rounded(spare)
        return Turns(tuple(turns), wait / 1000)
