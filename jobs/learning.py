"""What finished jobs teach about how long the next ones take, and the plan of looks that follows from it.

How long jobs took is kept as a histogram for each workflow: bins that grow evenly in proportion, so an outlier is one
count far away and moves nothing else, and old jobs fade. A job's end lies between the last look that found it running
and the one that found it done; its count is spread over the bins between, where the histogram already expects it.

The plan is the best one for that histogram: at each age the next look costs a poll, a look too late costs delay, and
the price of a poll is set so that the mean delay is what was asked for. Looks gather where jobs are likely to end.
"""

from __future__ import annotations

import bisect
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from jobs.policy import PollPolicy

#: The upper ends of the bins, in seconds: six to an octave, from a quarter of a second to four and a half hours.
EDGES: tuple[float, ...] = tuple(0.25 * 2 ** (step / 6) for step in range(97))
#: Of so many jobs the histogram is worth: each newer one takes that share of an older one's count.
MEMORY = 1000.0
#: A plan is made from no fewer jobs.
ENOUGH = 30.0
#: One job in so many is looked at more often, from the start: it sees what a plan would look away from.
SCOUTS = 32
#: This share of a count is spread evenly: what the histogram does not expect may come all the same.
_OPEN = 0.05
#: What lies beyond the last bin ends there.
_LAST = EDGES[-1] * 2 ** (1 / 6)
#: A plan looks at no more ages.
_POINTS = 1200


@dataclass(frozen=True, slots=True)
class Lesson:
    """When one job's remote part was over, as far as we saw. Seconds from its submission.

    Args:
        workflow: of which it was one.
        after: it was still running then; 0 if it was never seen running.
        by: it was found over then.
    """

    workflow: str
    after: float
    by: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to wait for the next look, by the age of a job. All in seconds.

    Args:
        ages: growing, from 0.
        waits: the wait at each of them.
    """

    ages: tuple[float, ...]
    waits: tuple[float, ...]

    def wait(self, age: float) -> float:
        """The wait at any age, between those of the two ages planned for that are nearest."""
        place = min(max(bisect.bisect_right(self.ages, age) - 1, 0), len(self.ages) - 1)
        if place == len(self.ages) - 1:
            return self.waits[place]
        share = (age - self.ages[place]) / (self.ages[place + 1] - self.ages[place])
        return self.waits[place] + share * (self.waits[place + 1] - self.waits[place])


@dataclass(frozen=True, slots=True)
class _Found:
    """The waits at the ages of a grid, with the mean delay and the polls per job that they mean."""

    waits: list[float]
    late: float
    polls: float


def scout(job_id: str) -> bool:
    """Whether this job is one of those that are looked at more often."""
    return zlib.crc32(job_id.encode("utf-8", "surrogatepass")) % SCOUTS == 0


def _span(place: int) -> tuple[float, float]:
    return (EDGES[place - 1] if place else 0.0, EDGES[place] if place < len(EDGES) else _LAST)


def spread(weights: Mapping[int, float], after: float, by: float) -> dict[int, float]:
    """One count, spread over the bins between two ages.

    Args:
        weights: the histogram so far.
        after: begin, in seconds.
        by: end, in seconds.
    """
    by = min(max(by, 0.0), _LAST)
    after = min(max(after, 0.0), by)
    first, last = bisect.bisect_right(EDGES, after), bisect.bisect_left(EDGES, by)
    if first >= last:
        return {last: 1.0}
    even: dict[int, float] = {}
    known: dict[int, float] = {}
    for place in range(first, last + 1):
        begin, end = _span(place)
        inside = max(min(end, by) - max(begin, after), 0.0)
        even[place] = inside / (by - after)
        known[place] = weights.get(place, 0.0) * inside / (end - begin)
    total = sum(known.values())
    if total <= 0:
        return even
    return {place: _OPEN * even[place] + (1 - _OPEN) * known[place] / total for place in even}


class Curve:
    """The share of jobs that are over by an age, as a line through the histogram, and what follows from it.

    Args:
        weights: the histogram.
    """

    def __init__(self, weights: Mapping[int, float]) -> None:
        # One job's worth is spread over all bins: no age is impossible, and the last of the learnt is not the last.
        doubt = 1.0 / (len(EDGES) + 1)
        shares = [weights.get(place, 0.0) + doubt for place in range(len(EDGES) + 1)]
        self.known = total = sum(shares)  #: so many jobs' worth
        self._ages = (0.0, *EDGES, _LAST)
        self._over = (0.0, *(part / total for part in accumulate(shares)))
        pieces = zip(pairwise(self._ages), pairwise(self._over), strict=True)
        self._area = (0.0, *accumulate((b - a) * (p + q) / 2 for (a, b), (p, q) in pieces))

    def at(self, age: float) -> tuple[float, float]:
        """The share that is over by an age, and the area under that share up to it."""
        if age >= _LAST:
            return 1.0, self._area[-1] + age - _LAST
        place = bisect.bisect_right(self._ages, age) - 1
        width = self._ages[place + 1] - self._ages[place]
        passed = age - self._ages[place]
        over = self._over[place] + (self._over[place + 1] - self._over[place]) * passed / width
        return over, self._area[place] + (self._over[place] + over) / 2 * passed

    def age(self, over: float) -> float:
        """The age by which at least this share is over, to the next end of a bin."""
        return self._ages[min(bisect.bisect_left(self._over, over), len(self._ages) - 1)]


def _grid(window: PollPolicy, line: Curve) -> list[float]:
    """The ages that are planned for.

    A quarter of the shortest countdown apart, or a little more in a long window, until nearly all jobs are over; then
    farther apart. The last two jobs, which may be odd ones, are not planned for: looks for them are as rare as allowed.
    """
    most = max(line.age(0.98), window.first + 2 * window.minimum)
    step = max(window.minimum / 4, most / _POINTS)
    ages = [0.0, *(window.first + step * number for number in range(round(most / step) + 1))]
    last = line.age(1 - 2.5 / line.known)
    while ages[-1] < last and len(ages) < 2 * _POINTS:
        ages.append(ages[-1] + max(step, min(ages[-1] * 0.02, window.maximum / 4)))
    return ages


def _best(ages: Sequence[float], curve: Sequence[tuple[float, float]], window: PollPolicy, price: float) -> _Found:
    """The waits that cost least at this price of a poll, in seconds of delay.

    Backwards from the last age. All is counted per job submitted, so a job that is over adds nothing to later looks.
    """
    count, slack = len(ages), (ages[2] - ages[1]) / 2
    late, polls, waits = [0.0] * count, [1 - over for over, _ in curve], [window.maximum] * count
    # What a look costs from this age on, plus the area under the curve up to it: the delay of those that end before it.
    total = [price * (1 - over) + area for over, area in curve]
    low = high = count
    for here in range(count - 2, -1, -1):
        age, (over, area) = ages[here], curve[here]
        nearest, farthest = (age + window.minimum, age + window.maximum) if here else (window.first, window.maximum)
        while low > here + 1 and ages[low - 1] >= nearest - slack:
            low -= 1
        while high > low + 1 and ages[high - 1] > farthest + slack:
            high -= 1
        left = 1 - over
        if low >= count:  # the plan ends here: what is still running then is looked at as rarely as the window allows
            continue
        sums = [sum_ - over * later for sum_, later in zip(total[low:high], ages[low:high], strict=True)]
        least = min(sums)
        chosen = low + sums.index(least)
        waits[here] = min(max(ages[chosen] - age, nearest - age), max(farthest - age, nearest - age))
        late[here] = late[chosen] + curve[chosen][1] - area - over * (ages[chosen] - age)
        polls[here] = polls[chosen] + left
        total[here] = least + over * age + price * left
    return _Found(waits, late[0], polls[0])


def plan(weights: Mapping[int, float], window: PollPolicy, delay: float) -> Plan | None:
    """The looks that find jobs over with this mean delay, and as few of them as can be.

    Args:
        weights: the histogram; none is made of fewer than `ENOUGH` jobs.
        window: the provider's; its first countdown is the earliest first look.
        delay: the mean time from the end of a job to the look that finds it, in seconds. What the window does not allow
            is not reached.
    """
    if sum(weights.values()) < ENOUGH:
        return None
    line = Curve(weights)
    ages = _grid(window, line)
    curve = [line.at(age) for age in ages]
    low, high = 1e-3 * window.minimum, 1e3 * window.maximum
    found = _best(ages, curve, window, low)
    for _ in range(14):
        price = math.sqrt(low * high)
        tried = _best(ages, curve, window, price)
        if tried.late > delay:
            high = price
        else:
            low, found = price, tried
    return Plan(tuple(ages), tuple(found.waits))
