"""The poll policy: a pure function from what is known of a job to the seconds until the next look.

"Not yet" is an answer with a delay, not an error.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

#: No provider keeps us waiting longer than this by a `Retry-After`, in seconds.
RETRY_AFTER_CAP = 3600.0


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """When to look at a job again. All times in seconds.

    Args:
        first: from the submission to the first poll.
        minimum: the shortest countdown.
        maximum: the longest countdown.
        growth: by what each countdown exceeds the one before.
        jitter: share of the countdown by which it is spread, so that jobs do not march in step.
    """

    first: float
    minimum: float
    maximum: float
    growth: float = 1.3
    jitter: float = 0.1


def countdown(
    policy: PollPolicy,
    *,
    polls: int,
    eta: float | None = None,
    planned: float | None = None,
    retry_after: float | None = None,
    spread: float | None = None,
) -> float:
    """Seconds until a job must be looked at again.

    Args:
        policy: the provider's window.
        polls: how many polls the job has had; 0 right after the submission.
        eta: seconds until the provider expects to be ready, when it says so.
        planned: seconds to the look that finished jobs have taught (`jobs.learning`), when they have.
        retry_after: what the provider asked for, in seconds. It may be longer than the window, never shorter.
        spread: a number in [-1, 1] that places the jitter; drawn at random if not given.
    """
    if polls == 0:
        wait = policy.first if planned is None else max(planned, policy.first)
    elif eta is not None and not math.isnan(eta):
        wait = min(max(eta, policy.minimum), policy.maximum)
    elif planned is not None:
        wait = planned
    else:
        # The exponent is bounded: after sixty polls the window's end is long reached.
        wait = min(policy.minimum * policy.growth ** min(polls - 1, 60), policy.maximum)
    place = random.uniform(-1, 1) if spread is None else spread
    wait = max(wait * (1 + policy.jitter * place), 0.0)
    if polls:
        wait = min(max(wait, policy.minimum), policy.maximum)
    elif planned is not None:
        wait = min(max(wait, policy.first), max(policy.first, policy.maximum))
    if retry_after is not None:
        wait = max(wait, min(retry_after, RETRY_AFTER_CAP))
    return wait


def remaining(
    progress: int | None, age: float, *, before: int | None = None, since: float | None = None
) -> float | None:
    """Seconds until a job that reports its progress should be ready; none if that cannot be told.

    Between two looks that saw work going on, progress is a line. Before that, time in the provider's queue is taken for
    work, and too much would be told: half of it is a good time to look for the line.

    Args:
        progress: percent, as it was just seen.
        age: seconds since the submission.
        before: percent, as it was seen at the last look.
        since: seconds since that look.
    """
    if progress is None or not 0 < progress < 100:
        return None
    if before and since is not None and since > 0 and progress > before:
        return since * (100 - progress) / (progress - before)
    return age * (100 - progress) / progress / 2


def backoff(attempts: int, *, base: float = 1.0, cap: float = 60.0, spread: float | None = None) -> float:
    """Seconds to wait after so many failed tries in a row: doubling from `base` to `cap`, spread by a quarter."""
    place = random.uniform(-1, 1) if spread is None else spread
    return float(min(base * 2 ** min(max(attempts - 1, 0), 20), cap)) * (1 + 0.25 * place)
