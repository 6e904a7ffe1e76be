"""Polls per job and detection delay, replayed: a fixed interval, exponential back-off, and the learnt plan.

Run it with `python benchmarks/poll_policy.py`. No network, no clock: jobs are drawn from seeded distributions, and
each policy is asked when to look, by the very functions that the workers call. The learnt plan begins with nothing,
sees only what its own looks see, and is measured after `TAUGHT` jobs, at the mean delay of the fixed interval.

Beside it stands the optimum: the fewest polls that any rule by a job's age can need at that delay, for somebody who
knows the true distribution; once within the provider's window, and once without any.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from jobs import learning
from jobs.clock import ManualClock
from jobs.learning import Lesson
from jobs.plans import Counts, Learnt, Plans
from jobs.policy import PollPolicy, countdown, remaining

FIXED = 3.0
TAUGHT, MEASURED, TRUTH = 1500, 3000, 40_000

Draw = Callable[[random.Random], "Fate"]
#: Seconds to the next look: polls so far, age, progress, progress before, seconds since it.
Rule = Callable[[int, float, "int | None", "int | None", float], float]


@dataclass(frozen=True)
class Fate:
    """One job: when it is over, and when the work that its progress is about began. Seconds from the submission."""

    over: float
    begins: float | None = None

    def progress(self, age: float) -> int | None:
        """Percent, if the provider tells."""
        if self.begins is None:
            return None
        return max(0, min(99, int(100 * (age - self.begins) / (self.over - self.begins))))


@dataclass(frozen=True)
class Case:
    """A provider's window, and how long its jobs take."""

    name: str
    window: PollPolicy
    draw: Draw


def _within(draw: Callable[[random.Random], float]) -> Draw:
    def one(rng: random.Random) -> Fate:
        while not 2 <= (seconds := draw(rng)) <= 600:
            pass
        return Fate(seconds)

    return one


def _tokens(rng: random.Random) -> Fate:
    queue = rng.uniform(0.04, 6.6)
    return Fate(queue + math.exp(rng.uniform(math.log(4), math.log(120))), begins=queue)


_MINTING = PollPolicy(first=2.0, minimum=2.0, maximum=20.0)
CASES = (
    Case("2 s to 10 min, lognormal", _MINTING, _within(lambda rng: 20 * math.exp(rng.gauss(0, 1.2)))),
    Case("2 s to 10 min, Pareto (1)", _MINTING, _within(lambda rng: 2 / (1 - rng.random()))),
    Case(
        "2 to 6 s, one in 20 up to 10 min",
        _MINTING,
        _within(lambda rng: rng.uniform(2, 6) if rng.random() < 0.95 else math.exp(rng.uniform(1.8, 6.4))),
    ),
    Case(
        "CommonsDB, 5 s batches",
        PollPolicy(first=2.0, minimum=2.0, maximum=5.0),
        lambda rng: Fate(rng.uniform(0, 5) + 2 * math.exp(rng.gauss(0, 0.5))),
    ),
    Case("tokens, progress with rate", PollPolicy(first=2.0, minimum=2.0, maximum=15.0), _tokens),
)


def follow(fate: Fate, rule: Rule) -> tuple[int, float, float]:
    """Look at one job until it is over: polls, delay, and the age at the last look that found it running."""
    polls, age, before, seen_at, progress = 0, 0.0, None, 0.0, None
    while True:
        wait = rule(polls, age, progress, before, age - seen_at)
        seen_at, before = age, progress
        age += wait
        polls += 1
        if age >= fate.over:
            return polls, age - fate.over, seen_at
        progress = fate.progress(age)


def _mean(figures: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return tuple(sum(column) / len(figures) for column in zip(*figures, strict=True))


def replay(case: Case, rule: Rule) -> tuple[float, float]:
    """Polls per job and mean delay of a rule that does not learn."""
    rng = random.Random(f"{case.name} measured")
    return _mean([follow(case.draw(rng), rule)[:2] for _ in range(MEASURED)])


class Histograms:
    """What `jobs/lua/learn.lua` keeps of one workflow, without a server: a replay teaches tens of thousands of jobs."""

    def __init__(self) -> None:
        self._held: defaultdict[int, float] = defaultdict(float)
        self._weight = 1.0

    def learn(self, provider: str, counts: Counts) -> None:
        """Add the shares of jobs; older ones fade."""
        for _, shares in counts:
            self._weight *= 1 + 1 / learning.MEMORY
            for place, share in shares.items():
                self._held[place] += self._weight * share

    def learnt(self, provider: str) -> Learnt:
        """The histogram; the latest job counts as one."""
        return {"w": {place: value / self._weight for place, value in self._held.items()}} if self._held else {}


def exponential(case: Case) -> Rule:
    """What a worker does that has learnt nothing, and is told no progress."""
    rng = random.Random("jitter")
    return lambda polls, *_: countdown(case.window, polls=polls, spread=rng.uniform(-1, 1))


def learnt(case: Case, delay: float) -> tuple[float, float]:
    """What a worker does that learns from its own looks, with this setting of `poll_delay`."""
    clock, jitter = ManualClock(), random.Random("jitter")
    plans = Plans(Histograms(), clock)
    taught, measured = random.Random(f"{case.name} taught"), random.Random(f"{case.name} measured")
    figures = []
    for number in range(TAUGHT + MEASURED):
        fate, job_id = case.draw(taught if number < TAUGHT else measured), f"job-{number}"

        def rule(
            polls: int, age: float, progress: int | None, before: int | None, since: float, job_id: str = job_id
        ) -> float:
            planned = plans.wait("p", "w", job_id, age, case.window, delay)
            eta = remaining(progress, age, before=before, since=since)
            return countdown(case.window, polls=polls, eta=eta, planned=planned, spread=jitter.uniform(-1, 1))

        polls, late, running = follow(fate, rule)
        plans.learn("p", [Lesson("w", running, fate.over + late)])
        clock.advance(0.5)
        if number >= TAUGHT:
            figures.append((polls, late))
    return _mean(figures)


def at_delay(case: Case, wanted: float) -> tuple[float, float]:
    """The learnt plan, set so that its measured delay is the one wanted, or below."""
    setting, found = wanted, (math.inf, math.inf)
    for _ in range(4):
        polls, delay = learnt(case, setting)
        if delay <= wanted * 1.01:
            found = min(found, (polls, delay))
        if abs(delay - wanted) < 0.01 * wanted:
            break
        setting *= wanted / delay
    return found if found[0] < math.inf else (polls, delay)


def optimum(case: Case, window: PollPolicy, delay: float) -> tuple[float, float]:
    """The fewest polls by dynamic programming over the true distribution.

    Two neighbouring best rules are mixed to meet the delay exactly, so no rule by age alone can do better.
    """
    rng = random.Random(f"{case.name} truth")
    ends = sorted(case.draw(rng).over for _ in range(TRUTH))
    sums = [0.0, *itertools.accumulate(ends)]
    step = min(max(0.1, ends[-1] / 3000), 0.25)
    ages = [0.0, *(window.first + step * number for number in range(round(ends[-1] / step) + 2))]
    curve = []
    for age in ages:  # the share that is over, and the area under it: the mean time since then
        over = bisect.bisect_right(ends, age)
        curve.append((over / TRUTH, (over * age - sums[over]) / TRUTH))
    low, high = 1e-3, 1e3
    for _ in range(16):
        price = math.sqrt(low * high)
        found = learning._best(ages, curve, window, price)
        low, high = (low, price) if found.late > delay else (price, high)
    often, rarely = (learning._best(ages, curve, window, price) for price in (low, high))
    share = (delay - often.late) / (rarely.late - often.late) if rarely.late > often.late else 0.0
    share = min(max(share, 0.0), 1.0)
    return often.polls + share * (rarely.polls - often.polls), often.late + share * (rarely.late - often.late)


def main() -> None:
    """Print the table."""
    head = ("", "fixed 3 s", "exponential", "learnt", "optimum", "no window", "learnt/fixed", "optimum/fixed")
    print("Polls per job, and mean detection delay in seconds\n")
    print(f"{head[0]:34}" + "".join(f"{title:>15}" for title in head[1:]))
    for case in CASES:
        fixed = replay(case, lambda *_: FIXED)
        ours = at_delay(case, fixed[1])
        rows = [fixed, replay(case, exponential(case)), ours]
        best: tuple[float, float] | None = None
        if case.draw(random.Random(0)).begins is None:
            best = optimum(case, case.window, fixed[1])
            free = PollPolicy(first=0.25, minimum=0.25, maximum=60.0)
            rows += [best, optimum(case, free, fixed[1])]
        cells = [f"{polls:.2f} {delay:5.2f} s" for polls, delay in rows]
        cells += ["–"] * (5 - len(rows)) + [f"{ours[0] / fixed[0]:.2f}", f"{best[0] / fixed[0]:.2f}" if best else "–"]
        print(f"{case.name:34}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
