"""What the workers of one provider tell each other through the ledger: notes under names, and books of times."""

from __future__ import annotations

from typing import Protocol

#: A note of a job is kept for so much longer than the job: whoever has just read the job still finds it. Seconds.
NOTE_OUTLIVES = 3600.0


class NoteBook(Protocol):
    """Notes and books; part of the ledger's contract."""

    def recall(self, provider: str, name: str) -> str | None:
        """A note that the workers of one provider share (a session, say)."""
        ...

    def remember(self, provider: str, name: str, value: str, *, of_job: str | None = None) -> str:
        """Leave a note unless there is one; returns the note in force.

        Args:
            provider: whose workers share it.
            name: of the note.
            value: its text.
            of_job: a finished job that it concerns: it is kept for longer than that job, and forgotten after it.
        """
        ...

    def forget(self, provider: str, name: str, value: str) -> None:
        """Remove a note if it still has this value."""
        ...

    def enter(self, provider: str, book: str, member: str, at: float, keep: float) -> None:
        """Write a member into a book under a time; what is older than `keep` seconds before that is forgotten."""
        ...

    def leave(self, provider: str, book: str, member: str) -> None:
        """Strike a member from a book."""
        ...

    def entered(self, provider: str, book: str, since: float, until: float) -> dict[str, float]:
        """The members of a book in that time, both ends included, oldest first, with their times."""
        ...
