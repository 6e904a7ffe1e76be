"""LettrLabs: upload conversions (contract lettrlabs 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

from jobs.record import Job
from providers.base import Located, Observation, Operation, Verdict
from providers.errors import (
    BadAnswer,
    NotFound,
    NotSent,
    PermanentError,
    ProviderError,
    Refused,
    TransientError,
    not_sent,
)
from providers.lettrlabs.answers import Conversions, envelope_of, number_of_errors, upload_id, upload_ids, withheld
from providers.lettrlabs.posts import SKEW
from providers.lettrlabs.records import ConvertRequest, order_hash, plain, rejected

#: The note about where the ids of uploads are told: `told` (by the answer to a POST) or `list`.
_IDS = "ids"


class _NoId(BadAnswer):
    """The POST was accepted, but its upload is not known."""


class Convert(Conversions, Operation[ConvertRequest]):
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
        """`POST /v1/conversions`: a bare array. Partial acceptance is normal (contract 12).

        Where only the list tells the ids, one POST goes at a time: what is new in the list afterwards is its own.
        """
        job_id, posts = str(intent["job"]), self.provider.posts
        records = [record.model_dump(exclude_none=True) for record in request.conversions]
        if self.provider.settings.revenue_as == "string":
            for record in records:
                record["revenue"] = plain(record["revenue"])
        repeat, entry = bool(posts.lost(job_id)), None
        try:
            async with AsyncExitStack() as turn:
                before = await self._take_turn(turn, job_id)
                with posts.leaving(job_id) as entry:
                    receipt = await self._post(records, job_id, before)
        except (PermanentError, _NoId):
            if not repeat:
                raise
            # Perhaps because an earlier POST of this job arrived after all: that is no refusal, and no new doubt.
            posts.repeated(job_id)
            try:
                found = await self._lost(intent)
            except ProviderError:
                found = None
            if found is None:
                raise BadAnswer("a repeat of our own POST was not taken, and its upload is not known") from None
            receipt = {"remote_id": ",".join(map(str, found)), "sent": len(records)}
        for upload in receipt["remote_id"].split(","):
            self.provider.uploads.adopt(int(upload), job_id)
        # After they are adopted: whoever looks in between finds one or the other.
        posts.found(job_id, receipt, None if repeat else entry)
        return receipt

    async def _take_turn(self, turn: AsyncExitStack, job_id: str) -> frozenset[int] | None:
        """Where the list may be needed, wait for our turn, and see what is in it already. None: it is not needed."""
        if self._ids_are() == "told":
            return None
        await turn.enter_async_context(self.provider.posts.turn())
        now, ids_are = self.provider.notes.now(), self._ids_are()
        if ids_are == "told":  # somebody learnt it while we waited
            await turn.aclose()
            return None
        if ids_are != "list":
            return frozenset()
        if self.provider.posts.others(job_id, now, now):
            raise NotSent(
                "nothing was sent: the upload of another POST is not known, and might be taken for this one's"
            )
        try:
            return frozenset(await self.provider.uploads.between(now, now, job_id))
        except TransientError as error:
            raise not_sent(error, "the list of uploads cannot be read") from None

    async def _post(self, records: list[dict[str, Any]], job_id: str, before: frozenset[int] | None) -> dict[str, Any]:
        started = self.provider.notes.now()
        envelope = envelope_of(await self.provider.http.call("POST", "/v1/conversions", json=records, submits=True))
        payload, errors = envelope.get("payload"), number_of_errors(envelope)
        echoed = payload if isinstance(payload, list) else []
        ids = self._told(envelope)
        # Without an id, an answer that repeats the rejected records too can only be judged by counting its errors.
        if not ids and errors and (not echoed or min(errors, len(echoed)) >= len(records)):
            raise Refused(f"no record was accepted: {withheld(errors)}", status=400)
        if not ids and payload == []:
            raise Refused("no record was accepted: the provider has them already, by their orderId", status=409)
        self._learn("told" if ids else "list")
        if not ids and before is not None:
            try:
                listed = await self.provider.uploads.between(started, self.provider.notes.now(), job_id)
            except ProviderError as error:  # the POST is through: nothing that happens now may say that it is not
                raise BadAnswer(f"accepted, but its upload could not be looked up ({error})") from None
            ids = [upload for upload in listed if upload not in before]
            number = self._uploads(len(echoed) or len(records))
            if not (1 if errors else number) <= len(ids) <= number:
                ids = []  # perhaps somebody else's is among them, or ours is not there yet
            if self.provider.posts.others(job_id, started, self.provider.notes.now()):
                ids = []  # the list may have shown theirs late
        if not ids:
            raise _NoId("accepted, but the id of the upload is nowhere to be found (setting id_from)")
        return {"remote_id": ",".join(map(str, ids)), "sent": len(records), **self._accepted(records, payload, errors)}

    def _ids_are(self) -> str | None:
        """Whether ids are told by the answer to a POST, or by the list only; none if no POST has shown it yet."""
        places = self.provider.settings.id_from
        if "list" not in places:
            return "told"  # perhaps not, but then the list is not to be believed
        if len(set(places)) == 1:
            return "list"
        known: str | None = self.provider.notes.recall(self.provider.name, _IDS)
        return known

    def _learn(self, ids_are: str) -> None:
        notes, name = self.provider.notes, self.provider.name
        if (known := self._ids_are()) != ids_are and len(set(self.provider.settings.id_from)) > 1:
            notes.forget(name, _IDS, known or "")
            notes.remember(name, _IDS, ids_are)

    def _uploads(self, records: int) -> int:
        return records if self.provider.settings.uploads_per == "record" else 1

    async def _lost(self, intent: Mapping[str, Any]) -> list[int] | None:
        """The uploads of a POST whose answer was lost, if the list is believed and leaves no doubt which they are."""
        if "list" not in self.provider.settings.id_from:
            return None
        job_id, number = str(intent["job"]), self._uploads(intent["records"])
        found: list[int] | None = await self.provider.uploads.lost(job_id, self.provider.posts.lost(job_id), number)
        return found

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
        if not left_out:
            return {"accepted": len(records)}
        orders = [order_hash(records[position].get("orderId")) for position in left_out]
        return {"accepted": len(records) - len(left_out), "rejected": left_out, "rejected_orders": orders}

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
        job_id, posts = str(intent["job"]), self.provider.posts
        at = intent.get("at")  # an intent of an earlier version has none
        if at is not None and (known := posts.receipt(job_id, at - SKEW)) is not None:
            return Located(receipt=known)
        found = await self._lost(intent)
        if found is None:
            protected = bool(intent["all_with_order_id"]) and self.provider.settings.order_id_protects
            return Located(absent=protected and not posts.is_repeat(job_id))
        receipt = {"remote_id": ",".join(map(str, found)), "sent": intent["records"]}
        posts.found(job_id, receipt)
        return Located(receipt=receipt)

    async def cancel(self, job: Job) -> bool:
        """Delete every upload of the job; one that is not there any more is as good."""
        for upload in str((job.receipt or {})["remote_id"]).split(","):
            with suppress(NotFound):
                await self.ask_deletion(int(upload))
        return True

    async def observe(self, job: Job) -> Observation:
        """Ask for every upload of the job; it has succeeded when all have, and failed when one has."""
        receipt = job.receipt or {}
        if "sent" not in receipt:  # a person has told us the upload
            for upload in upload_ids(str(receipt["remote_id"]).split(",")):
                self.provider.uploads.adopt(upload, job.id)
            self.provider.posts.found(job.id, receipt)
        uploads = str(receipt["remote_id"]).split(",")
        if len(uploads) == 1:  # without a task of its own
            seen = [await self._look(int(uploads[0]))]
        else:
            seen = []
            for look in await asyncio.gather(*(self._look(int(each)) for each in uploads), return_exceptions=True):
                if isinstance(look, BaseException):
                    raise look
                seen.append(look)
        if failed := [each for each in seen if each.verdict is Verdict.FAILED]:
            if len(seen) == 1:
                return failed[0]
            which = ", ".join(upload for upload, each in zip(uploads, seen, strict=True) if each in failed)
            return replace(failed[0], message=f"{len(failed)} of {len(seen)} uploads failed: {which}")
        if running := [each for each in seen if each.verdict is Verdict.RUNNING]:
            return running[0]
        sent, accepted = receipt.get("sent"), receipt.get("accepted")
        partial = sent != accepted or any(observation.message for observation in seen)
        result = {"id": receipt["remote_id"], "sent": sent, "accepted": accepted, "partial": partial}
        result |= {name: receipt[name] for name in ("rejected", "rejected_orders") if receipt.get(name)}
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
