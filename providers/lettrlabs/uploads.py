"""Which upload of LettrLabs' list is ours (contract lettrlabs 7): the list names no job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from providers.base import Provider
from providers.lettrlabs.answers import envelope_of, upload_id, uploaded_at
from providers.lettrlabs.posts import KEPT, SKEW, Posts

#: The list is read so far for an upload, in pages of 500: its order is not documented (contract 7).
LIST_PAGES = 20

#: So many adopted uploads are remembered; far more than any window of time in which one is looked for.
_SLOTS = 32_768


class Uploads:
    """The account's uploads, some of which belong to our jobs.

    Args:
        provider: makes the calls, and keeps the notes that all workers share.
        posts: the book of our POSTs.
    """

    def __init__(self, provider: Provider, posts: Posts) -> None:
        self._provider = provider
        self._posts = posts

    def _note(self, upload: int) -> tuple[str, str]:
        return self._provider.name, f"upload:{upload % _SLOTS}"

    def adopt(self, upload: int, job_id: str) -> bool:
        """Make an upload ours, unless another job has it. The notes do not grow: an old one gives way."""
        ours = f"{upload}:{job_id}"
        while (held := self._provider.notes.remember(*self._note(upload), ours)) != ours:
            if held.partition(":")[0] == str(upload):
                return False
            self._provider.notes.forget(*self._note(upload), held)
        return True

    def _taken(self, upload: int, job_id: str) -> bool:
        held = self._provider.notes.recall(*self._note(upload)) or ""
        return held.startswith(f"{upload}:") and held != f"{upload}:{job_id}"

    async def between(self, since: float, until: float, job_id: str) -> list[int]:
        """The uploads of that time which no other job has adopted, the newest first.

        Args:
            since: seconds since the epoch by our clock; the other clock may differ by `SKEW`.
            until: likewise.
            job_id: the job that asks.

        Raises:
            ProviderError: the list cannot be read.
        """
        since, until = since - SKEW, until + SKEW
        found: set[int] = set()
        for page in range(LIST_PAGES):
            params = {"pageNumber": str(page), "pageSize": "500"}
            answer = await self._provider.http.call("GET", "/v1/conversions", params=params)
            payload = envelope_of(answer).get("payload")
            entries = [entry for entry in payload if isinstance(entry, dict)] if isinstance(payload, list) else []
            for entry in entries:
                upload = upload_id(entry.get("id"))
                within = since <= uploaded_at(entry.get("uploadDate")) <= until
                if upload is not None and within and not self._taken(upload, job_id):
                    found.add(upload)
            if not entries or _newest_first_until(entries, since):
                break
        return sorted(found, reverse=True)

    async def lost(self, job_id: str, posted: Sequence[float], number: int) -> list[int] | None:
        """Adopt the uploads of POSTs whose answers were lost, if the list leaves no doubt which they are.

        There is doubt while another POST of ours that fits has no known upload, whatever became of its job.

        Args:
            job_id: the job that asks.
            posted: when its POSTs left, oldest first; none if nothing of it ever left.
            number: how many uploads it must have made.

        Raises:
            ProviderError: the list cannot be read.
        """
        if not posted or self._provider.notes.now() - posted[0] > KEPT * 0.9:
            return None
        since, until = posted[0], posted[-1] + self._posts.flight
        found = await self.between(since, until, job_id)
        if not found or await self._posts.disputed(job_id, since, until):
            return None
        # Only now: whoever left the book meanwhile has adopted its uploads before.
        found = [upload for upload in found if not self._taken(upload, job_id)]
        return found if len(found) == number and all(self.adopt(upload, job_id) for upload in found) else None


def _newest_first_until(entries: list[dict[str, Any]], since: float) -> bool:
    """Whether the list is sorted so that everything after this page is older than that."""
    first, last = entries[0], entries[-1]
    falling = (upload_id(first.get("id")) or 0) > (upload_id(last.get("id")) or 0)
    return falling and uploaded_at(last.get("uploadDate")) < since
