"""LettrLabs: conversion uploads and their deletion (contract lettrlabs).

No status word is documented, nor where a POST tells the id: both are settings. Every answer carries personal data
(`profile`) and error texts are free, so neither ever leaves this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from jobs.record import Job
from providers.base import Located, Observation, Operation, Provider, ProviderSettings, Request, Verdict, Words
from providers.errors import BadAnswer, NotFound, PermanentError, ProviderError, Refused
from providers.http import Answer
from providers.lettrlabs_records import ConvertRequest, rejected
from providers.lettrlabs_uploads import Uploads, envelope_of, number_of_errors, upload_id, upload_ids, withheld


class LettrLabsSettings(ProviderSettings):
    """The words are plausible, not documented; letter case is ignored."""

    poll_maximum: float = Field(30.0, gt=0, description="longest countdown, seconds")
    words_running: tuple[str, ...] = ("pending", "queued", "uploaded", "processing", "in progress", "validating")
    words_succeeded: tuple[str, ...] = ("completed", "complete", "processed", "succeeded", "success")
    words_failed: tuple[str, ...] = ("failed", "error", "rejected", "cancelled")
    words_deleting: tuple[str, ...] = ("deleting", "deletion pending", "pendingdeletion", "markedfordeletion")
    words_deleted: tuple[str, ...] = ("deleted",)
    id_from: tuple[Literal["payload", "metadata", "list"], ...] = Field(
        ("payload", "metadata", "list"), description="where the id of an upload is looked for, in this order"
    )
    id_field: str = Field("id", description="its name in payload and metadata")
    uploads_per: Literal["post", "record"] = Field("post", description="what makes an upload, when the list is asked")
    revenue_as: Literal["number", "string"] = Field("number", description="how revenue is written")


class DeleteRequest(Request):
    """The keyword arguments of `settle.lettrlabs.delete`."""

    id: int = Field(ge=0, strict=True, description="the conversion's id, an integer")


class _Conversions:
    """What both operations ask."""

    provider: Any

    async def status(self, upload: int) -> tuple[dict[str, Any], str | None]:
        """`GET /v1/conversions/{id}/status`: the envelope, and the free status word in it (seed page)."""
        answer: Answer = await self.provider.http.call("GET", f"/v1/conversions/{upload}/status")
        if answer.status in (400, 409, 422):
            # A failed upload may show as an error code (contract 11.2). Its payload is worth nothing then.
            with suppress(BadAnswer):
                if number_of_errors(envelope := answer.object()):
                    return envelope, None
        envelope = envelope_of(answer)
        payload = envelope.get("payload")
        word = payload.get("status") if isinstance(payload, dict) else None
        return envelope, word if isinstance(word, str) else None


class Convert(_Conversions, Operation[ConvertRequest]):
    """Upload conversions: POST once, then poll the upload."""

    name = "convert"
    request = ConvertRequest

    def intent(self, request: ConvertRequest, job_id: str) -> dict[str, Any]:
        """Nothing personal: when, how many records, and whether a repeat could do harm."""
        return {
            "job": job_id,
            "at": self.provider.notes.now(),
            "records": len(request.conversions),
            "all_with_order_id": all(record.orderId for record in request.conversions),
        }

    async def submit(self, request: ConvertRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`POST /v1/conversions`: a bare array. Partial acceptance is normal (contract 12)."""
        started, job_id = self.provider.notes.now(), str(intent["job"])
        records = [record.model_dump(exclude_none=True) for record in request.conversions]
        if self.provider.settings.revenue_as == "string":
            for record in records:
                record["revenue"] = f"{record['revenue']:.2f}"
        envelope = envelope_of(await self.provider.http.call("POST", "/v1/conversions", json=records))
        payload, errors = envelope.get("payload"), number_of_errors(envelope)
        echoed = payload if isinstance(payload, list) else []
        ids = self._told(envelope)
        # Without an id, an answer that repeats the rejected records too can only be judged by counting its errors.
        if not ids and errors and (not echoed or min(errors, len(echoed)) >= len(records)):
            raise Refused(f"no record was accepted: {withheld(errors)}", status=400)
        if not ids and "list" in self.provider.settings.id_from:
            try:
                if payload == []:  # all were repeats, perhaps of a POST of ours whose answer was lost
                    found = await self._lost(intent)
                    ids = found if found is not None else []
                else:
                    ids = await self.provider.uploads.newest(
                        started, job_id, self._uploads(len(echoed) or len(records))
                    )
            except ProviderError as error:  # the POST is through: nothing that happens now may say that it is not
                raise BadAnswer(f"accepted, but its upload could not be looked up ({error})") from None
        if not ids and payload == []:
            raise Refused("no record was accepted: the provider has them already, by their orderId", status=409)
        if not ids:
            raise BadAnswer("accepted, but the id of the upload is nowhere to be found (setting id_from)")
        for upload in ids:
            self.provider.uploads.adopt(upload, job_id)
        return {"remote_id": ",".join(map(str, ids)), "sent": len(records), **self._accepted(records, payload, errors)}

    def _uploads(self, records: int) -> int:
        return records if self.provider.settings.uploads_per == "record" else 1

    async def _lost(self, intent: Mapping[str, Any]) -> list[int] | None:
        """The uploads of a POST whose answer was lost, if the list leaves no doubt which they are."""
        settings = self.provider.settings
        if (at := intent.get("at")) is None:
            return None
        until = at + settings.connect_timeout + settings.read_timeout
        found: list[int] = await self.provider.uploads.between(at, until, str(intent["job"]))
        if len(found) != self._uploads(intent["records"]):
            return None
        return found if all(self.provider.uploads.adopt(upload, str(intent["job"])) for upload in found) else None

    def _accepted(self, records: list[dict[str, Any]], payload: Any, errors: int) -> dict[str, Any]:
        """How many records were taken, and which were not: by their position, for they are personal data."""
        if not isinstance(payload, list):
            return {} if errors else {"accepted": len(records)}
        field = self.provider.settings.id_field
        taken = [entry for entry in payload if isinstance(entry, dict) and upload_id(entry.get(field)) is not None]
        left_out = rejected(records, taken or payload)
        if errors and not left_out:
            return {}  # somebody was rejected, the answer does not tell who
        if left_out is None:
            return {"accepted": len(taken or payload)}
        return {"accepted": len(records) - len(left_out), **({"rejected": left_out} if left_out else {})}

    def _told(self, envelope: Mapping[str, Any]) -> list[int]:
        """The ids that the answer to the POST tells, where the settings say they are."""
        field = self.provider.settings.id_field
        for place in self.provider.settings.id_from:
            part = envelope.get(place) if place != "list" else None
            values = [
                entry.get(field) for entry in (part if isinstance(part, list) else [part]) if isinstance(entry, dict)
            ]
            ids = upload_ids(each for value in values for each in (value if isinstance(value, list) else [value]))
            if ids:
                return ids
        return []

    async def locate(self, request: ConvertRequest, intent: Mapping[str, Any]) -> Located:
        """The list is asked first (contract 12). Only when every record carries an `orderId` may it be sent again."""
        found = await self._lost(intent)
        if found is None:
            return Located(absent=bool(intent["all_with_order_id"]))
        return Located(receipt={"remote_id": ",".join(map(str, found)), "sent": intent["records"]})

    async def cancel(self, job: Job) -> bool:
        """Delete every upload of the job; one that is not there any more is as good."""
        for upload in str((job.receipt or {})["remote_id"]).split(","):
            with suppress(NotFound):
                (await self.provider.http.call("DELETE", f"/v1/conversions/{upload}")).check()
        return True

    async def observe(self, job: Job) -> Observation:
        """Ask for every upload of the job; it has succeeded when all have, and failed when one has."""
        receipt = job.receipt or {}
        looks = (self._look(int(upload)) for upload in str(receipt["remote_id"]).split(","))
        seen: list[Observation] = []
        for look in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(look, BaseException):
                raise look
            seen.append(look)
        for verdict in (Verdict.FAILED, Verdict.RUNNING, Verdict.SUCCEEDED):
            for observation in seen:
                if observation.verdict is verdict is not Verdict.SUCCEEDED:
                    return observation
        sent, accepted = receipt.get("sent"), receipt.get("accepted")
        partial = sent != accepted or any(observation.message for observation in seen)
        result = {"id": receipt["remote_id"], "sent": sent, "accepted": accepted, "partial": partial}
        if receipt.get("rejected"):
            result["rejected"] = receipt["rejected"]
        return replace(seen[0], message=next((each.message for each in seen if each.message), None), result=result)

    async def _look(self, upload: int) -> Observation:
        try:
            envelope, word = await self.status(upload)
        except NotFound:
            return Observation(Verdict.RUNNING, message="no such upload (yet)")
        if self.provider.deletion_words.verdict(word) == (Verdict.SUCCEEDED, True):
            return Observation(Verdict.FAILED, word=word, message="the upload was deleted")
        verdict, known = self.provider.words.verdict(word)
        message = None
        if errors := number_of_errors(envelope):
            message = withheld(errors)
            if verdict is not Verdict.SUCCEEDED:
                verdict, known = Verdict.FAILED, True
        return Observation(verdict, word=word, known=known, message=message)


class Delete(_Conversions, Operation[DeleteRequest]):
    """Delete an upload: a request, not a fact, so it is polled until it is gone (contract 6)."""

    name = "delete"
    request = DeleteRequest

    def intent(self, request: DeleteRequest, job_id: str) -> dict[str, Any]:
        """The id."""
        return {"id": request.id}

    async def submit(self, request: DeleteRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`DELETE /v1/conversions/{id}`; the status may not allow it.

        A refusal may be that of a repeat, of which the transport below makes one by itself: then it is on its way.
        """
        answer = await self.provider.http.call("DELETE", f"/v1/conversions/{request.id}")
        try:
            answer.check()
            errors = number_of_errors(answer.object()) if answer.body.strip() else 0
            if errors:
                raise Refused(f"the deletion was refused: {withheld(errors)}", status=answer.status)
        except PermanentError:
            if not await self._on_its_way(request.id):
                raise
        return {"remote_id": str(request.id)}

    async def _on_its_way(self, upload: int) -> bool:
        try:
            _, word = await self.status(upload)
        except ProviderError:
            return False
        return bool(self.provider.deletion_words.verdict(word)[1])

    async def locate(self, request: DeleteRequest, intent: Mapping[str, Any]) -> Located:
        """Deleted or on the way: it arrived. Otherwise asking again does no harm."""
        try:
            _, word = await self.status(request.id)
        except NotFound:
            arrived = True
        else:
            arrived = self.provider.deletion_words.verdict(word)[1]
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


class LettrLabs(Provider):
    """The conversions group of the LettrLabs API."""

    name: ClassVar[str] = "lettrlabs"
    settings_type = LettrLabsSettings
    operations = (Convert, Delete)

    def __init__(self, settings: LettrLabsSettings, notes: Any) -> None:
        super().__init__(settings, notes)
        self.words = Words(
            succeeded=settings.words_succeeded,
            failed=settings.words_failed,
            running=settings.words_running,
            fold=True,
        )
        self.uploads = Uploads(self)
        self.deletion_words = Words(
            succeeded=settings.words_deleted, failed=(), running=settings.words_deleting, fold=True
        )

    def headers(self) -> dict[str, str]:
        """The key; it opens the whole account."""
        return {"X-API-KEY": self.key, "Accept": "application/json"}


PROVIDER = LettrLabs
