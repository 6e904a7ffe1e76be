"""CommonsDB: public declarations of works (contract commonsdb).

A declaration can never be deleted, so its identifier is computed before the POST (2.7): it is what a lost answer is
asked for again. Only `status` decides (3.3); `pending` and every unknown word mean running.

A body counts for 60 s of the server's clock. One that Settle signs itself is made anew when that time is over, with
another time and so another identifier: only after the service certainly has nothing under the one before.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import JobState
from providers.answer import Answer
from providers.base import Located, Observation, Operation, Probe, Provider, Verdict, Words, id_text
from providers.commonsdb import shown
from providers.commonsdb.identifier import cid_v1
from providers.commonsdb.probe import probe
from providers.commonsdb.requests import DeclareRequest
from providers.commonsdb.settings import CommonsDBSettings
from providers.commonsdb.signing import Signer
from providers.commonsdb.stamps import Stamper
from providers.errors import (
    BadAnswer,
    Busy,
    NotFound,
    NotReady,
    ProviderError,
    Refused,
    TransientError,
    not_sent,
    scrub,
)
from providers.http import segment

__all__ = ["PROVIDER", "WINDOW", "WORDS", "CommonsDB", "CommonsDBSettings", "Declare", "DeclareRequest", "cid_v1"]

WORDS = Words(succeeded=("success",), failed=("failed",), running=("pending",))

#: A body counts so long before and after its time, by the server's clock, seconds (contract 2.2).
WINDOW = 60.0

#: A body that is older is not sent any more: it would arrive too late, seconds.
_TOO_OLD = 45.0

#: A job that is processed must not expire for want of being shown: patience ends so long before its deadline, seconds.
_LAST_LOOK = 30.0

#: No time is later than this, milliseconds since the epoch (the year 5138): a number beyond it is rubbish.
_FAR = 10**14

#: One of these stands in every error of the function in JSON (contract 2.10, 3.5).
_ERROR_FIELDS = frozenset({"error", "validationErrors", "mismatches", "serverTime", "existingSupersededBy"})

#: The function's errors in plain text (contract 2.10, 4); that about a wrong ISCC has a text that is not known whole.
_PLAIN_ERRORS = frozenset({b"Invalid request body", b"Unauthorized", b"Not found"})

#: The note in which the workers share what they learnt of the server's clock, in milliseconds.
_SKEW = "clock-skew"

_PATH = re.compile(r"[\w.$@\[\]-]{1,120}", re.ASCII)


class Declare(Operation[DeclareRequest]):
    """Declare a work: POST once, poll its status, then see that the public record shows it."""

    name = "declare"
    request = DeclareRequest
    provider: CommonsDB

    def intent(self, request: DeclareRequest, job_id: str) -> dict[str, Any]:
        """The identifier, known before the POST; its time and ours, if it is ours to choose; the ISCC for the search.

        Raises:
            ConfigurationError: the settings lack what plain metadata needs to be signed.
        """
        if request.metadata is None:
            public = request.body["declarationMetadata"]["publicMetadata"]
            return {"identifier": cid_v1(public), "iscc": public["iscc"]}
        self.provider.signer.check()
        timestamp = round(self.provider.server_time() * 1000)
        public = self.provider.signer.public(request, timestamp)
        at = self.provider.notes.now()
        return {"identifier": cid_v1(public), "iscc": public["iscc"], "timestamp": timestamp, "at": at}

    def again(self, request: DeclareRequest, job: Job) -> dict[str, Any]:
        """A new time and so a new identifier, unless the old one still counts: under one identifier is one record.

        Identifiers that were sent are kept, should one of them turn up late.
        """
        old = job.intent or {}
        earlier = list(old.get("earlier", ()))
        if job.state is JobState.IN_DOUBT:
            if request.metadata is None or self._age(request, old) <= WINDOW:
                return dict(old)
            earlier.append(old["identifier"])
        return self.intent(request, job.id) | ({"earlier": earlier} if earlier else {})

    def _age(self, request: DeclareRequest, intent: Mapping[str, Any]) -> float:
        """How long ago a body was made, seconds: by the server's clock and by ours, whichever says less.

        One wrong answer about the server's clock must not make a young body look old.
        """
        ours, theirs = self.provider.notes.now(), self.provider.server_time()
        if request.metadata is not None:
            return min(theirs - float(intent["timestamp"]) / 1000, ours - float(intent["at"]))
        signed: int = request.body["declarationMetadata"]["publicMetadata"]["timestamp"]
        return min(theirs, ours) - signed / 1000

    async def submit(self, request: DeclareRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`POST /v1/declare`. The portal does not print the success code, so any 2xx counts (contract 7.1)."""
        ours = request.metadata is not None
        body = await self._made(request, intent) if ours else request.body
        sent = self.provider.notes.now()
        answer = await self.provider.http.call("POST", "/v1/declare", json=body, submits=True)
        if answer.status in (400, 422):
            error = answer.error_body()
            for own in (intent["identifier"], *intent.get("earlier", ())):
                if answer.status == 422 and error.get("existingSupersededBy") == own:
                    return self._receipt(own)  # our own first attempt was processed (contract 2.11)
            server = error.get("serverTime")
            if ours and answer.status == 400 and isinstance(server, int) and not isinstance(server, bool):
                self.provider.learn(server / 1000, (sent + self.provider.notes.now()) / 2)
                raise NotReady(f"{_reasons(answer, error)}; made anew by that clock")
            raise Refused(_reasons(answer, error), status=answer.status)
        identifier = id_text(answer.check("error", "message").object().get("cidV1"))
        if identifier is None:
            raise BadAnswer("the acceptance names no cidV1")
        return self._receipt(identifier)  # the returned one counts, should it differ (contract 8)

    async def _made(self, request: DeclareRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """The body: signed, stamped and still young. Nothing has been sent to the service.

        Raises:
            NotSent: it cannot be made now.
        """
        signer, public = self.provider.signer, self.provider.signer.public(request, intent["timestamp"])
        if cid_v1(public) != intent["identifier"]:  # what is not in the ledger must not be sent
            raise NotReady("the settings changed since the intent was written")
        blocks = [block for block in (public, signer.registry(request, public)) if block is not None]
        tokens = [signer.sign(block) for block in blocks]
        patience = self.provider.settings.stamp_within
        try:
            async with asyncio.timeout(patience):
                await self._older_is_done(request)
                stamps = await self.provider.stamper.stamp_all(tokens)
        except TimeoutError:
            raise NotReady(f"no time stamp within {patience:g} s") from None
        if self.provider.server_time() - intent["timestamp"] / 1000 > _TOO_OLD:
            raise NotReady("the declaration got too old before it could be sent")
        body = {
            "signature": tokens[0],
            "tsaSignature": stamps[0],
            "declarationMetadata": dict(zip(("publicMetadata", "commonsDbRegistry"), blocks, strict=False)),
        }
        if len(blocks) > 1:
            body |= {"commonsDbRegistrySignature": tokens[1], "commonsDbRegistryTsaSignature": stamps[1]}
        return body

    async def _older_is_done(self, request: DeclareRequest) -> None:
        """A declaration can supersede another only once that one is processed (contract 2.6): until then it waits."""
        old = request.metadata and request.metadata.supersedes
        if not old:
            return
        try:
            word = (await self._status(old)).get("status")
        except NotFound:
            return  # older than the service remembers a status, perhaps: it knows best
        except TransientError as error:
            raise not_sent(error, "the declaration to be superseded could not be asked for") from None
        if WORDS.verdict(word)[0] is Verdict.RUNNING:
            raise NotReady("supersedes: the older declaration is still being processed")

    @staticmethod
    def _receipt(identifier: str) -> dict[str, Any]:
        return {"remote_id": identifier}

    async def _status(self, identifier: str) -> dict[str, Any]:
        """`GET /v1/status/{identifier}` (seed page)."""
        answer: Answer = await self.provider.http.call("GET", f"/v1/status/{segment(identifier)}")
        body = answer.check("error", "message").object()
        if body.get("identifier", identifier) != identifier:
            raise BadAnswer("the status is that of another identifier")
        return body

    async def locate(self, request: DeclareRequest, intent: Mapping[str, Any]) -> Located:
        """A status record proves the acceptance; 404 after a grace proves the opposite (contract 2.11).

        The grace is longer than the window, so that what was sent can no longer be accepted, and metadata must know
        nothing either: a status record may be late, or never written (2.9).
        """
        for identifier in (intent["identifier"], *intent.get("earlier", ())):
            try:
                body = await self._status(identifier)
            except NotFound:
                continue
            if not isinstance(body.get("status"), str):
                raise BadAnswer("the status record has no status")
            return Located(receipt=self._receipt(identifier))
        if self._age(request, intent) < self.provider.settings.absent_after:
            return Located()
        by_metadata = "metadata" in self.provider.settings.confirm_by
        if by_metadata and await shown.in_metadata(self.provider.http, intent["identifier"]):
            return Located(receipt=self._receipt(intent["identifier"]))
        if request.metadata is None:
            return Located(gone="the declaration never arrived, and is too old to be sent now: sign it anew")
        return Located(absent=True)

    async def observe(self, job: Job) -> Observation:
        """Only `status` decides; 404 is possible right after the acceptance (contract 3.3, 3.4)."""
        identifier = (job.receipt or {})["remote_id"]
        try:
            body = await self._status(identifier)
        except NotFound:
            return Observation(Verdict.RUNNING, message="no status record yet")  # the deadline ends it
        word = body.get("status")
        verdict, known = WORDS.verdict(word)
        text = body.get("message")
        message = scrub(text) if isinstance(text, str) and text else None
        if verdict is Verdict.FAILED:  # a later run of the service's own queue may overwrite it (contract 3.3)
            message = f"{message or 'no reason given'} (look once more before declaring the work again)"
        result: dict[str, Any] = {}
        if verdict is Verdict.SUCCEEDED:
            result = {"identifier": identifier}
            if self.provider.settings.confirm_by:
                patient = self._patient(job, body)
                missing = await self._missing(identifier, job.intent or {}, patient)
                if missing:
                    message = f"processed, but not shown yet by {', '.join(missing)}"
                if missing and patient:
                    return Observation(Verdict.RUNNING, word=word, message=message)
                result["confirmed"] = not missing
        return Observation(
            verdict, word=word if isinstance(word, str) else None, known=known, message=message, result=result
        )

    async def _missing(self, identifier: str, intent: Mapping[str, Any], patient: bool) -> list[str]:
        """Who does not show the declaration, or could not be asked: neither makes a processed one a failed one."""
        http, iscc, computed, missing = self.provider.http, intent.get("iscc"), intent.get("identifier"), []
        for who in self.provider.settings.confirm_by:
            try:
                if who == "metadata":
                    seen = await shown.in_metadata(http, identifier, computed)
                else:
                    seen = iscc is None or await shown.in_search(http, iscc, identifier, computed)
            except ProviderError as error:
                if patient and isinstance(error, Busy):
                    raise
                missing.append(f"{who} ({error})")
            else:
                missing += [] if seen else [who]
        return missing

    def _patient(self, job: Job, status: Mapping[str, Any]) -> bool:
        """Whether a processed declaration may still take its time to be shown."""
        now = self.provider.notes.now()
        changed = status.get("updatedAt")  # by the server's clock; an optional field
        if isinstance(changed, int) and 0 < changed < _FAR:
            waited = self.provider.server_time() - changed / 1000
        else:
            waited = now - (job.submitted_at or 0.0)
        return waited < self.provider.settings.confirm_within and now < job.deadline_at - _LAST_LOOK


def _reasons(answer: Answer, error: Mapping[str, Any]) -> str:
    """The refusal with the fields it names; what stands behind a field's colon may quote its value and is left out."""
    reason = answer.reason("error", "message", "title", "detail")
    entries = [entry for key in ("validationErrors", "mismatches") for entry in _list(error.get(key))]
    fields = [field for entry in entries[:10] if _PATH.fullmatch(field := str(entry).partition(":")[0])]
    if fields:
        reason += f" (fields: {', '.join(fields)})"
    server, ours = error.get("serverTime"), error.get("providedTimestamp")
    if isinstance(server, int) and isinstance(ours, int):  # the way to learn the server's clock (contract 2.10)
        late = (server - ours) / 1000
        reason += f" (the timestamp is {abs(late):g} s {'behind' if late > 0 else 'ahead of'} the server's clock)"
    return reason


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class CommonsDB(Provider):
    """The CommonsDB declaration API."""

    name: ClassVar[str] = "commonsdb"
    settings_type = CommonsDBSettings
    operations = (Declare,)

    def __init__(self, settings: CommonsDBSettings, notes: Ledger) -> None:
        super().__init__(settings, notes)
        self.signer = Signer(settings)
        self.stamper = Stamper(settings, self.http, notes)

    def own_error(self, answer: Answer) -> bool:
        """The function's `{error, …}` or plain text, or the gateway's problem details (contract 2.10, 3.5, 4, 6)."""
        body = answer.error_body()
        own = body.keys() & _ERROR_FIELDS or {"type", "title"} <= body.keys()
        return bool(own) or answer.body.strip() in _PLAIN_ERRORS or answer.body.startswith(b"ISCC ")

    def headers(self) -> dict[str, str]:
        """The bearer token."""
        return {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}

    def server_time(self) -> float:
        """The server's clock as far as it is known, seconds since the epoch: ours until a refusal told another."""
        return self.notes.now() + int(self.notes.recall(self.name, _SKEW) or 0) / 1000

    def learn(self, server: float, ours: float) -> None:
        """Remember for all workers by how much the server's clock differs from ours; both in seconds."""
        old = self.notes.recall(self.name, _SKEW)
        if old is not None:
            self.notes.forget(self.name, _SKEW, old)
        self.notes.remember(self.name, _SKEW, str(round((server - ours) * 1000)))

    async def probe(self) -> list[Probe]:
        """What the calls that change nothing tell; see `providers/commonsdb/probe.py`."""
        return await probe(self)


PROVIDER = CommonsDB
