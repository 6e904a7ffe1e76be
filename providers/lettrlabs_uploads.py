"""What LettrLabs' answers say in whatever form, and which upload of its list is ours (contract lettrlabs 3 and 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from providers.base import Provider
from providers.http import Answer

#: An upload found in the list may be so much older or younger than our POST by the two clocks, seconds.
LIST_SKEW = 120.0

#: The list is read so far for an upload, in pages of 500: its order is not documented (contract 7).
LIST_PAGES = 20

#: So many adopted uploads are remembered.
_SLOTS = 4096


def envelope_of(answer: Answer) -> dict[str, Any]:
    """The envelope of a success. HTTP 200 is not success yet: `hasErrors` is the caller's to read."""
    answer.check()  # no field names: the texts are free and may hold personal data
    return answer.object()


def number_of_errors(envelope: Mapping[str, Any]) -> int:
    """How many errors an answer tells of, in whatever form (contract 3)."""
    texts = envelope.get("errors") or envelope.get("errorDetails")
    flag = envelope.get("hasErrors")
    flagged = flag.strip().lower() not in ("", "false", "0", "no") if isinstance(flag, str) else bool(flag)
    number = len(texts) if isinstance(texts, list | dict) else int(bool(texts))
    return max(number, int(flagged))


def withheld(number: int) -> str:
    """What is told of error texts."""
    return f"{number} error(s); the texts are withheld, they may hold personal data"


def upload_id(value: Any) -> int | None:
    """The id of an upload: a positive integer, perhaps as a string."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def upload_ids(values: Iterable[Any]) -> list[int]:
    """Those of the values that are ids, each once."""
    return list(dict.fromkeys(upload for value in values if (upload := upload_id(value)) is not None))


def uploaded_at(value: Any) -> float:
    """An `uploadDate` as seconds since the epoch; without an offset it is taken for UTC. Unreadable: the epoch."""
    try:
        at = datetime.fromisoformat(str(value))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


class Uploads:
    """The account's uploads, some of which belong to our jobs.

    Args:
        provider: makes the calls, and keeps the notes that all workers share.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

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
            since: seconds since the epoch by our clock; the other clock may differ by `LIST_SKEW`.
            until: likewise.
            job_id: the job that asks.
        """
        since, until = since - LIST_SKEW, until + LIST_SKEW
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

    async def newest(self, started: float, job_id: str, number: int) -> list[int]:
        """Adopt the newest uploads that are not older than our POST, so many of them as there should be."""
        mine: list[int] = []
        for upload in await self.between(started, self._provider.notes.now(), job_id):
            if len(mine) < number and self.adopt(upload, job_id):
                mine.append(upload)
        return mine


def _newest_first_until(entries: list[dict[str, Any]], since: float) -> bool:
    """Whether the list is sorted so that everything after this page is older than that."""
    first, last = entries[0], entries[-1]
    falling = (upload_id(first.get("id")) or 0) > (upload_id(last.get("id")) or 0)
    return falling and uploaded_at(last.get("uploadDate")) < since
