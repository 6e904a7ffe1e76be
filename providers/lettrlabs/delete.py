"""LettrLabs: delete an upload (contract lettrlabs 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.record import Job
from providers.base import Located, Observation, Operation, Verdict
from providers.errors import NotFound
from providers.lettrlabs.answers import Conversions
from providers.lettrlabs.records import DeleteRequest


class Delete(Conversions, Operation[DeleteRequest]):
    """Delete an upload: a request, not a fact, so it is polled until it is gone (contract 6)."""

    name = "delete"
    request = DeleteRequest

    def intent(self, request: DeleteRequest, job_id: str) -> dict[str, Any]:
        """The id."""
        return {"id": request.id}

    async def submit(self, request: DeleteRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for it. An id that does not exist is refused: better said than done."""
        await self.ask_deletion(request.id)
        return {"remote_id": str(request.id)}

    async def locate(self, request: DeleteRequest, intent: Mapping[str, Any]) -> Located:
        """Deleted or on the way: it arrived. Otherwise asking again does no harm."""
        try:
            _, word = await self.status(request.id)
        except NotFound:
            arrived = True
        else:
            arrived = self.on_its_way(word)
        return Located(receipt={"remote_id": str(request.id)}) if arrived else Located(absent=True)

    async def observe(self, job: Job) -> Observation:
        """A word of deletion and a not-found answer both mean done (contract 12)."""
        upload = int((job.receipt or {})["remote_id"])
        try:
            _, word = await self.status(upload)
        except NotFound:
            return Observation(Verdict.SUCCEEDED, word="not found", result={"id": upload, "deleted": True})
        verdict, known = self.provider.deletion_words.verdict(word)
        result = {"id": upload, "deleted": True} if verdict is Verdict.SUCCEEDED else {}
        return Observation(verdict, word=word, known=known or self.provider.words.verdict(word)[1], result=result)
