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

from dataclasses import dataclass

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
