"""The simulator's own books: what it received, accepted and served, to prove that nothing was submitted twice."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from simulator.plans import PROVIDERS, Job, Outcome, Provider

SERVICES: tuple[str, ...] = (*PROVIDERS, "tsa")
"""All whose requests are counted: the four providers and the time-stamp authority."""

_SECONDS_KEPT = 3600


class JobAccount(BaseModel):
    """All that happened under one caller reference."""

    model_config = ConfigDict(frozen=True)

    submits: int = 0
    """Submissions received, whatever the answer."""
    accepted: int = 0
    """Submissions that made a job, also when the answer was then lost."""
    refused: int = 0
    """Submissions that the provider's own rules refused."""
    faulted: int = 0
    """Submissions that an injected fault stopped before they were processed."""
    polls: int = 0
    """Status requests for the jobs of this reference."""
    files_served: int = 0
    """Complete downloads (certificate, token data, snapshot)."""
    outcome: Outcome | None = None
    """The state of the newest job; None when none was accepted."""
    aliases: tuple[str, ...] = ()
    """Further names of the newest job (commonsdb: the ISCC and the name of the work)."""


class ProviderAccount(BaseModel):
    """The books of one provider (or of the time-stamp authority)."""

    model_config = ConfigDict(frozen=True)

    requests: dict[str, dict[str, int]]
    """Operation -> HTTP status (`"200"`), or `"reset"`, `"reset_after"` for aborted connections -> count."""
    max_per_second: int
    """The most requests seen in any one second of real time, wherever it begins."""
    per_second: dict[int, int] = Field(default_factory=dict)
    """Requests in each second of real time (epoch seconds) that had any, the last hour's."""
    jobs: dict[str, JobAccount]
    """By caller reference: cidV1, file name, payment intent, orderId."""

    @property
    def doubles(self) -> tuple[str, ...]:
        """The references, or names of works, for which more than one submission was accepted."""
        counts: dict[str, int] = defaultdict(int)
        for reference, job in self.jobs.items():
            for name in {reference, *job.aliases}:
                counts[name] += job.accepted
        return tuple(name for name, count in counts.items() if count > 1)


class Account(BaseModel):
    """The books of the whole simulator."""

    model_config = ConfigDict(frozen=True)

    providers: dict[str, ProviderAccount]

    def __getitem__(self, provider: str) -> ProviderAccount:
        return self.providers[provider]


@dataclass(slots=True)
class _Entry:
    submits: int = 0
    accepted: int = 0
    refused: int = 0
    faulted: int = 0
    jobs: list[Job] = field(default_factory=list)


@dataclass(slots=True)
class _Book:
    entries: dict[str, _Entry] = field(default_factory=dict)
    requests: dict[tuple[str, str], int] = field(default_factory=dict)
    recent: deque[float] = field(default_factory=deque)
    max_per_second: int = 0
    per_second: dict[int, int] = field(default_factory=dict)
    by_name: dict[str, list[Job]] = field(default_factory=dict)


class Books:
    """Counts requests and submissions; reads the state of a job from the job itself."""

    def __init__(self) -> None:
        self._books = {service: _Book() for service in SERVICES}

    def clear(self) -> None:
        """Start with empty books."""
        self._books = {service: _Book() for service in SERVICES}

    def arrived(self, service: str, now: float) -> None:
        """Count a request that arrived at `now` (real epoch seconds) towards the busiest second."""
        book = self._books[service]
        recent = book.recent
        recent.append(now)
        while recent[0] <= now - 1.0:
            recent.popleft()
        book.max_per_second = max(book.max_per_second, len(recent))
        counts = book.per_second
        counts[int(now)] = counts.get(int(now), 0) + 1
        if len(counts) > _SECONDS_KEPT:
            del counts[next(iter(counts))]

    def answered(self, service: str, operation: str, status: str) -> None:
        """Count an answer by operation and HTTP status (or the word for an aborted connection)."""
        requests = self._books[service].requests
        key = (operation, status)
        requests[key] = requests.get(key, 0) + 1

    def _entry(self, provider: str, reference: str) -> _Entry:
        return self._books[provider].entries.setdefault(reference, _Entry())

    def submitted(self, provider: str, references: tuple[str, ...], accepted: frozenset[str]) -> None:
        """Count a processed submission: for each reference whether it was accepted or refused."""
        for reference in references:
            entry = self._entry(provider, reference)
            entry.submits += 1
            if reference in accepted:
                entry.accepted += 1
            else:
                entry.refused += 1

    def stopped(self, provider: str, references: tuple[str, ...]) -> None:
        """Count a submission that an injected fault stopped before it was processed."""
        for reference in references:
            entry = self._entry(provider, reference)
            entry.submits += 1
            entry.faulted += 1

    def open(self, provider: Provider, job: Job) -> None:
        """Enter a job under all its references and names."""
        for reference in job.references:
            self._entry(provider, reference).jobs.append(job)
        names = self._books[provider].by_name
        for name in {*job.references, *job.aliases}:
            names.setdefault(name, []).append(job)

    def jobs(self, provider: Provider, name: str) -> list[Job]:
        """Give the jobs with this reference or alias, oldest first."""
        return self._books[provider].by_name.get(name, [])

    def report(self, now: float) -> Account:
        """Read the books as of `now`."""
        return Account(providers={name: _report(book, now) for name, book in self._books.items()})


def _report(book: _Book, now: float) -> ProviderAccount:
    requests: dict[str, dict[str, int]] = {}
    for (operation, status), count in sorted(book.requests.items()):
        requests.setdefault(operation, {})[status] = count
    jobs = {}
    for reference, entry in book.entries.items():
        last = entry.jobs[-1] if entry.jobs else None
        jobs[reference] = JobAccount(
            submits=entry.submits,
            accepted=entry.accepted,
            refused=entry.refused,
            faulted=entry.faulted,
            polls=sum(job.polls for job in entry.jobs),
            files_served=sum(job.files_served for job in entry.jobs),
            outcome=last.outcome(now) if last else None,
            aliases=last.aliases if last else (),
        )
    return ProviderAccount(
        requests=requests, max_per_second=book.max_per_second, per_second=dict(book.per_second), jobs=jobs
    )
