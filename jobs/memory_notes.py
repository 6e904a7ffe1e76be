"""The gate of a provider and what its workers share, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs import codec
from jobs.learning import MEMORY
from jobs.memory_store import MemoryStore
from jobs.notes import NOTE_OUTLIVES
from jobs.pacing import Turns


class NotesInMemory(MemoryStore):
    """Pauses a provider, hands out turns, and keeps what workers tell each other."""

    def pause(self, provider: str, seconds: float | None = None) -> float:
        """Close the provider's gate; without `seconds` longer with every call in a row. Returns until when."""
        shelf = self._shelves[provider]
        shelf.failures += 0 if shelf.paused_until > self._now() else 1
        shortest, longest = self._pause_limits
        pause = seconds if seconds is not None else min(shortest * 2 ** max(min(shelf.failures - 1, 20), 0), longest)
        shelf.paused_until = max(self._now() + codec.millis(pause), shelf.paused_until)
        shelf.probe_until = 0
        return shelf.paused_until / 1000

    def unpause(self, provider: str) -> None:
        """The provider answers again: open the gate and forget the failures in a row, unless it is still closed."""
        shelf = self._shelves[provider]
        if shelf.paused_until <= self._now():
            shelf.failures = shelf.probe_until = 0

    def open_gate(self, provider: str) -> None:
        """Open the provider's gate at once, whatever closed it."""
        shelf = self._shelves[provider]
        shelf.paused_until = shelf.failures = shelf.probe_until = 0
        shelf.submissions = [0, 0, 0]

    def admit_submissions(self, provider: str, wanted: int, lease: float) -> tuple[int, float]:
        """Ask the breaker of submissions. Returns how many may be sent, and until when the others wait."""
        breaker, now = self._shelves[provider].submissions, self._now()
        if breaker[0] > now or (breaker[1] and breaker[2] > now):
            return 0, max(breaker[0], breaker[2]) / 1000
        if not breaker[1]:
            return wanted, 0.0
        breaker[2] = now + codec.millis(lease)
        return 1, breaker[2] / 1000

    def submissions_failed(self, provider: str) -> float:
        """Open the breaker of submissions, for longer with each call in a row."""
        breaker, now = self._shelves[provider].submissions, self._now()
        breaker[1] += 0 if breaker[0] > now else 1
        shortest, longest = self._pause_limits
        pause = codec.millis(min(shortest * 2 ** max(min(breaker[1] - 1, 20), 0), longest))
        breaker[0], breaker[2] = max(now + pause, breaker[0]), 0
        return breaker[0] / 1000

    def submissions_answered(self, provider: str) -> None:
        """A submission was answered by the provider itself: close the breaker of submissions."""
        breaker = self._shelves[provider].submissions
        if breaker[0] <= self._now():
            breaker[1] = breaker[2] = 0

    def submissions_undecided(self, provider: str) -> None:
        """The probe of the breaker of submissions never left: let the next job be it."""
        self._shelves[provider].submissions[2] = 0

    def submissions_paused_until(self, provider: str) -> float:
        """When the breaker of submissions lets a probe through; 0 if it is closed."""
        until = self._shelves[provider].submissions[0]
        return until / 1000 if until > self._now() else 0.0

    def paused_until(self, provider: str) -> float:
        """When the provider's gate opens; 0 if it is open."""
        until = self._shelves[provider].paused_until
        return until / 1000 if until > self._now() else 0.0

    def turns(
        self, provider: str, rate: float, holder: str, wanted: int, over: Sequence[tuple[str, float]] = ()
    ) -> Turns:
        """Turns to send one request each, for all workers together never more than `rate` in any second."""
        shelf = self._shelves[provider]
        told = [(token, codec.millis(arrived)) for token, arrived in over]
        return shelf.sends.hand_out(self._now(), rate, holder, wanted, told, shelf.paused_until)

    def recall(self, provider: str, name: str) -> str | None:
        """A note that the workers of one provider share (a session, say)."""
        return self._shelves[provider].notes.get(name)

    def remember(self, provider: str, name: str, value: str, *, of_job: str | None = None) -> str:
        """Leave a note unless there is one; returns the note in force."""
        shelf, now = self._shelves[provider], self._now()
        if of_job is not None:
            for old in [old for old, until in shelf.until.items() if until <= now]:
                shelf.notes.pop(old, None)
                del shelf.until[old]
            until = max(shelf.done.get(of_job, now), now) + codec.millis(NOTE_OUTLIVES)
            shelf.until[name] = max(until, shelf.until.get(name, 0))
        return shelf.notes.setdefault(name, value)

    def forget(self, provider: str, name: str, value: str) -> None:
        """Remove a note if it still has this value."""
        if self.recall(provider, name) == value:
            del self._shelves[provider].notes[name]

    def enter(self, provider: str, book: str, member: str, at: float, keep: float) -> None:
        """Write a member into a book under a time; what is older than `keep` seconds before that is forgotten."""
        held = self._shelves[provider].books[book]
        held[member] = codec.millis(at)
        for old in [name for name, time in held.items() if time < codec.millis(at - keep)]:
            del held[old]

    def leave(self, provider: str, book: str, member: str) -> None:
        """Strike a member from a book."""
        self._shelves[provider].books[book].pop(member, None)

    def entered(self, provider: str, book: str, since: float, until: float) -> dict[str, float]:
        """The members of a book in that time, both ends included, oldest first, with their times."""
        held = sorted((at, member) for member, at in self._shelves[provider].books[book].items())
        return {member: at / 1000 for at, member in held if codec.millis(since) <= at <= codec.millis(until)}

    def keep_handles(self, provider: str, handles: Mapping[str, str], until: float) -> None:
        """Remember for a while which job each of a provider's own names means."""
        end = max(codec.millis(until), self._now() + 1)
        self._shelves[provider].handles |= {handle: (job_id, end) for handle, job_id in handles.items()}

    def of_handles(self, provider: str, handles: Sequence[str]) -> list[str]:
        """The jobs that a provider's own names mean, as far as they are kept."""
        known = self._shelves[provider].handles
        return [known[handle][0] for handle in handles if handle in known and known[handle][1] > self._now()]

    def learn(self, provider: str, counts: Sequence[tuple[str, Mapping[int, float]]]) -> None:
        """Add to the histograms of how long jobs took: for each job its workflow, and its shares by bin."""
        shelf = self._shelves[provider]
        for workflow, shares in counts:
            weight = shelf.weight[workflow] = shelf.weight[workflow] * (1 + 1 / MEMORY)
            held = shelf.learnt.setdefault(workflow, {})
            for place, share in shares.items():
                held[place] = held.get(place, 0.0) + weight * share
            if weight > 1e100:
                shelf.learnt[workflow] = {place: value / weight for place, value in held.items()}
                shelf.weight[workflow] = 1.0

    def learnt(self, provider: str) -> dict[str, dict[int, float]]:
        """The histograms by workflow; the latest job counts as one, older ones as less."""
        shelf = self._shelves[provider]
        return {
            workflow: {place: value / shelf.weight[workflow] for place, value in held.items()}
            for workflow, held in shelf.learnt.items()
            if held
        }
