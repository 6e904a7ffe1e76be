"""LettrLabs: conversion uploads and their deletion (contract lettrlabs).

No status word is documented, nor where a POST tells the id: both are settings. Every answer carries personal data
(`profile`) and error texts are free, so neither ever leaves this module.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, field_serializer, model_validator

from jobs.record import Job
from providers.base import Located, Observation, Operation, Provider, ProviderSettings, Request, Verdict, Words
from providers.errors import BadAnswer, NotFound, Refused
from providers.http import Answer

#: An upload found in the list may be so much older than our POST by the two clocks, seconds.
LIST_SKEW = 120.0

Text = str | None


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
    revenue_as: Literal["number", "string"] = Field("number", description="how revenue is written")


class Address(Request):
    """A postal address; address1, city, state and zipCode together identify a customer (contract 4)."""

    fullAddress: Text = None  # noqa: N815 (the contract's names)
    address1: Text = None
    address2: Text = None
    city: Text = None
    state: Text = None
    zipCode: Text = None  # noqa: N815
    country: Text = None

    def identifies(self) -> bool:
        """Whether it is complete enough to count as an identifier."""
        return all((self.address1, self.city, self.state, self.zipCode))


def _text(limit: int) -> Any:
    return Field(None, max_length=limit)


class Conversion(Request):
    """One record (contract 4). At least one identifier, and always a revenue."""

    firstName: Text = _text(255)  # noqa: N815
    lastName: Text = _text(255)  # noqa: N815
    fullName: Text = _text(255)  # noqa: N815
    businessName: Text = _text(255)  # noqa: N815
    primaryAddress: Address | None = None  # noqa: N815
    secondaryAddress: Address | None = None  # noqa: N815
    couponCode: Text = _text(255)  # noqa: N815
    primaryPhoneNumber: Text = _text(20)  # noqa: N815
    secondaryPhoneNumber: Text = _text(20)  # noqa: N815
    primaryEmail: Text = Field(None, max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")  # noqa: N815
    secondaryEmail: Text = Field(None, max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")  # noqa: N815
    revenue: float = Field(ge=0, le=7.9e28)
    type: Text = None
    orderId: Text = _text(255)  # noqa: N815
    storeId: Text = _text(255)  # noqa: N815
    uniqueId: Text = _text(255)  # noqa: N815
    crmId: Text = None  # noqa: N815
    customerId: Text = None  # noqa: N815
    eventDate: AwareDatetime | None = None  # noqa: N815

    @field_serializer("eventDate")
    def _utc(self, value: datetime | None) -> str | None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None

    @model_validator(mode="after")
    def _identified(self) -> Self:
        contacts = (
            self.primaryEmail,
            self.secondaryEmail,
            self.primaryPhoneNumber,
            self.secondaryPhoneNumber,
            self.couponCode,
        )
        addresses = (self.primaryAddress, self.secondaryAddress)
        if not any(contacts) and not any(address and address.identifies() for address in addresses):
            raise ValueError(
                "give at least one identifier: an email, a phone number, a coupon code, or an address with address1, "
                "city, state and zipCode"
            )
        return self


class ConvertRequest(Request):
    """The keyword arguments of `settle.lettrlabs.convert`."""

    conversions: list[Conversion] = Field(min_length=1)


class DeleteRequest(Request):
    """The keyword arguments of `settle.lettrlabs.delete`."""

    id: int = Field(ge=0, strict=True, description="the conversion's id, an integer")


def _envelope(answer: Answer) -> dict[str, Any]:
    """The envelope of a success. HTTP 200 is not success yet: `hasErrors` is the caller's to read."""
    answer.check()  # no field names: the texts are free and may hold personal data
    return answer.object()


def _has_errors(envelope: Mapping[str, Any]) -> bool:
    return bool(envelope.get("hasErrors") or envelope.get("errors"))


def _withheld(envelope: Mapping[str, Any]) -> str:
    errors = envelope.get("errors")
    number = len(errors) if isinstance(errors, list) else 0
    return f"{number} error(s); the texts are withheld, they may hold personal data"


def _id(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


class _Conversions:
    """What both operations ask."""

    provider: Any

    async def status(self, upload: int) -> tuple[dict[str, Any], str | None]:
        """`GET /v1/conversions/{id}/status`: the envelope, and the free status word in it (seed page)."""
        envelope = _envelope(await self.provider.http.call("GET", f"/v1/conversions/{upload}/status"))
        payload = envelope.get("payload")
        word = payload.get("status") if isinstance(payload, dict) else None
        return envelope, word if isinstance(word, str) else None


class Convert(_Conversions, Operation[ConvertRequest]):
    """Upload conversions: POST once, then poll the upload."""

    name = "convert"
    request = ConvertRequest

    def intent(self, request: ConvertRequest, job_id: str) -> dict[str, Any]:
        """Nothing personal: how many records, and whether a repeat could do harm."""
        return {
            "job": job_id,
            "records": len(request.conversions),
            "all_with_order_id": all(record.orderId for record in request.conversions),
        }

    async def submit(self, request: ConvertRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`POST /v1/conversions`: a bare array. Partial acceptance is normal (contract 12)."""
        started = time.time()
        records = [record.model_dump(exclude_none=True) for record in request.conversions]
        if self.provider.settings.revenue_as == "string":
            for record in records:
                record["revenue"] = f"{record['revenue']:.2f}"
        envelope = _envelope(await self.provider.http.call("POST", "/v1/conversions", json=records))
        payload = envelope.get("payload")
        accepted = payload if isinstance(payload, list) else []
        if _has_errors(envelope) and not accepted:
            raise Refused(f"no record was accepted: {_withheld(envelope)}", status=400)
        ids = await self._resolve(envelope, started, str(intent["job"]))
        if not ids:
            raise BadAnswer("accepted, but the id of the upload is nowhere to be found (setting id_from)")
        return {
            "remote_id": ",".join(map(str, ids)),
            "sent": len(records),
            "accepted": len(accepted) if accepted else len(records),
        }

    async def _resolve(self, envelope: Mapping[str, Any], started: float, job_id: str) -> list[int]:
        field = self.provider.settings.id_field
        for place in self.provider.settings.id_from:
            if place == "payload":
                payload = envelope.get("payload")
                records = payload if isinstance(payload, list) else [payload]
                found = [_id(record.get(field)) for record in records if isinstance(record, dict)]
                ids = list(dict.fromkeys(upload for upload in found if upload is not None))
            elif place == "metadata":
                metadata = envelope.get("metadata")
                upload = _id(metadata.get(field)) if isinstance(metadata, dict) else None
                ids = [upload] if upload is not None else []
            else:
                ids = await self._from_list(started, job_id)
            if ids:
                return ids
        return []

    async def _from_list(self, started: float, job_id: str) -> list[int]:
        """The newest upload that is not older than our POST and that no other job has adopted (contract 7)."""
        params = {"pageNumber": "0", "pageSize": "100"}
        payload = _envelope(await self.provider.http.call("GET", "/v1/conversions", params=params)).get("payload")
        uploads = [entry for entry in payload if isinstance(entry, dict)] if isinstance(payload, list) else []
        for entry in sorted(uploads, key=lambda entry: _id(entry.get("id")) or 0, reverse=True):
            upload = _id(entry.get("id"))
            if upload is None or _uploaded(entry.get("uploadDate")) < started - LIST_SKEW:
                continue
            if self.provider.notes.remember(self.provider.name, f"upload:{upload}", job_id) == job_id:
                return [upload]
        return []

    async def locate(self, request: ConvertRequest, intent: Mapping[str, Any]) -> Located:
        """Only when every record carries an `orderId` may it be sent again (contract 10)."""
        return Located(absent=bool(intent["all_with_order_id"]))

    async def observe(self, job: Job) -> Observation:
        """Ask for every upload of the job; it has succeeded when all have, and failed when one has."""
        receipt = job.receipt or {}
        seen = [await self._look(int(upload)) for upload in str(receipt["remote_id"]).split(",")]
        verdicts = {observation.verdict for observation in seen}
        for verdict in (Verdict.FAILED, Verdict.RUNNING, Verdict.SUCCEEDED):
            if verdict in verdicts:
                break
        chosen = next(observation for observation in seen if observation.verdict is verdict)
        if verdict is not Verdict.SUCCEEDED:
            return chosen
        sent, accepted = receipt.get("sent"), receipt.get("accepted")
        result = {"id": receipt["remote_id"], "sent": sent, "accepted": accepted, "partial": sent != accepted}
        return Observation(verdict, word=chosen.word, known=chosen.known, message=chosen.message, result=result)

    async def _look(self, upload: int) -> Observation:
        try:
            envelope, word = await self.status(upload)
        except NotFound:
            return Observation(Verdict.RUNNING, message="no such upload (yet)")
        except Refused as refused:
            return Observation(Verdict.FAILED, message=f"the status call was refused: {refused}")
        verdict, known = self.provider.words.verdict(word)
        message = None
        if _has_errors(envelope):
            message = _withheld(envelope)
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
        """`DELETE /v1/conversions/{id}`; the status may not allow it."""
        answer = await self.provider.http.call("DELETE", f"/v1/conversions/{request.id}")
        answer.check()
        if answer.body.strip():
            envelope = answer.object()
            if _has_errors(envelope):
                raise Refused(f"the deletion was refused: {_withheld(envelope)}", status=answer.status)
        return {"remote_id": str(request.id)}

    async def locate(self, request: DeleteRequest, intent: Mapping[str, Any]) -> Located:
        """Deleted or on the way: it arrived. Otherwise asking again does no harm."""
        observation = await self._look(request.id)
        arrived = observation.verdict is Verdict.SUCCEEDED or observation.known
        return Located(receipt={"remote_id": str(request.id)}) if arrived else Located(absent=True)

    async def observe(self, job: Job) -> Observation:
        """A word of deletion and a not-found answer both mean done (contract 12)."""
        return await self._look(int((job.receipt or {})["remote_id"]))

    async def _look(self, upload: int) -> Observation:
        try:
            _, word = await self.status(upload)
        except NotFound:
            return Observation(Verdict.SUCCEEDED, word="not found", result={"id": upload, "deleted": True})
        verdict, known = self.provider.deletion_words.verdict(word)
        result = {"id": upload, "deleted": True} if verdict is Verdict.SUCCEEDED else {}
        return Observation(verdict, word=word, known=known, result=result)


def _uploaded(value: Any) -> float:
    """An `uploadDate` as seconds since the epoch; without an offset it is taken for UTC. Unreadable: the epoch."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return 0.0
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


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
        self.deletion_words = Words(
            succeeded=settings.words_deleted, failed=(), running=settings.words_deleting, fold=True
        )

    def headers(self) -> dict[str, str]:
        """The key; it opens the whole account."""
        return {"X-API-KEY": self.key, "Accept": "application/json"}


PROVIDER = LettrLabs
