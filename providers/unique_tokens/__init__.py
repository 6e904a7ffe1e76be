"""Unique Tokens: paid production of token files (contract unique-tokens).

Every call but the opening of a session carries a Session-Key, shared by the workers through the ledger. Numbers come as
strings and can exceed 64 bits. An `errors` member means failure whatever the HTTP code says (8).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from jobs.errors import InvalidJob, JobNotFound
from jobs.ledger import Ledger
from jobs.record import Job
from jobs.states import JobState
from providers.base import Probe, id_text
from providers.errors import BadAnswer, NotSent, ProviderError, Refused, not_sent
from providers.http import segment
from providers.settings import ProviderSettings
from providers.unique_tokens.alphabets import Alphabets
from providers.unique_tokens.documents import MEDIA_TYPE, part, whole
from providers.unique_tokens.lines import SNAPSHOT, Line
from providers.unique_tokens.probe import probe
from providers.unique_tokens.requests import ContinueRequest, ProduceRequest, common, order
from providers.unique_tokens.sessions import Parts, SessionProvider

__all__ = ["PROVIDER", "Continue", "ContinueRequest", "Produce", "ProduceRequest", "UniqueTokens"]

#: A snapshot is compact (contract 6.7); a longer one is not sent, bytes.
MAX_SNAPSHOT = 64 * 1024 * 1024


class UniqueTokensSettings(ProviderSettings):
    """Production takes seconds to minutes (contract 9)."""

    poll_maximum: float = Field(15.0, gt=0, description="longest countdown, seconds")
    poll_at: Literal["milestone", "current"] = Field(
        "milestone", description="ask /ended and /finished as the seed page does, or for the current state"
    )
    check_capacity: bool = Field(True, description="ask what an alphabet can give before anything is paid")
    oversize: Literal["refuse", "send"] = Field(
        "refuse", description="more than one part can deliver: refuse it unpaid, or send it and take what comes"
    )
    alphabet_names: Literal["marked", "own"] = Field(
        "marked", description="name of a caller's own alphabet: with a mark of its characters, or as given"
    )
    hashes_of: Literal["plain", "gz"] = Field(
        "plain", description="filehashes.data is that of the plain or the gz file"
    )
    forbidden: Literal["order", "key"] = Field(
        "order", description="403 to an order in a session that is accepted: about the order, or about the key"
    )
    dismantle: bool = Field(True, description="delete a line once its files are stored and verified")


def _receipt(body: Mapping[str, Any], session: str) -> dict[str, Any]:
    line = id_text(part(body, "data").get("id"))
    if line is None:
        raise BadAnswer("the answer names no data.id")
    return {"remote_id": line, "session": session}


def _level(intent: Mapping[str, Any]) -> dict[str, str] | None:
    """The query of an order: the level of the analysis, which is the service's own default if it is none."""
    return {"analysis": intent["analysis"]} if intent["analysis"] != "none" else None


class Produce(Line[ProduceRequest]):
    """Produce tokens: start a production line once, poll it, fetch its files."""

    name = "produce"
    request = ProduceRequest
    asks_without_ledger = True  # by the payment; a list without it proves nothing, and then a person decides

    def intent(self, request: ProduceRequest, job_id: str) -> dict[str, Any]:
        """The payment intent, by which a lost line is found, and what was asked for."""
        return {
            **common(request),
            "alphabet": self.provider.alphabets.name(request),
            "digits": request.digits,
        }

    async def submit(self, request: ProduceRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`POST /api/tokens`: a paid job; production starts at once. What is asked before it costs nothing."""
        try:
            within = await self.prepare(request)
        except ProviderError as error:
            raise not_sent(error, "the session or the alphabet could not be made ready") from None
        body, session = await self.provider.exchange(
            "POST",
            "/api/tokens",
            json=order(request, intent["alphabet"], request.digits),
            params=_level(intent),
            within=within,
            submits=True,
        )
        return _receipt(body, session)

    async def prepare(self, request: ProduceRequest) -> str:
        """Have the alphabet in the session, with room for the order; returns the session's fingerprint.

        Raises:
            Refused: it cannot give so many tokens.
            ProviderError: it could not be asked.
        """
        (available, reachable), within = await self.provider.alphabets.capacity(request)
        if self.provider.settings.oversize == "refuse":
            for most, what in ((available, "the alphabet can give at all"), (reachable, "one part can deliver")):
                if most is not None and request.size > most:
                    raise Refused(
                        f"size: more than the {most} tokens of {request.digits} digits that {what}", status=402
                    )
        return str(within)


class Continue(Line[ContinueRequest]):
    """Produce the next part of a line from the snapshot that a former job stored (contract 6.2)."""

    name = "continue"
    request = ContinueRequest

    def intent(self, request: ContinueRequest, job_id: str) -> dict[str, Any]:
        """As that of the first part, and where the snapshot lies.

        Raises:
            InvalidJob: the former job cannot be continued so.
        """
        former = self._former(request.former)
        blob = next((artifact for artifact in former.artifacts if artifact.name == SNAPSHOT), None)
        if blob is None or not blob.uri:
            raise InvalidJob("former: this job stored no snapshot: its line is used up, or it was not asked for one")
        reachable = whole((former.result or {}).get("reachable"))
        if self.provider.settings.oversize == "refuse" and reachable is not None and request.size > reachable:
            raise InvalidJob(f"size: more than the {reachable} tokens that the next part can deliver")
        try:
            self._read_blob(blob.uri, blob.stored_sha256)
        except OSError:
            pass  # it is read again when it is sent, and waited for
        except ValueError:
            raise InvalidJob("former: its stored snapshot was changed or replaced since; restore the file") from None
        self._reserve(request, job_id)
        before = former.intent or {}
        return {
            **common(request),
            "alphabet": before["alphabet"],
            "digits": before["digits"],
            "former": request.former,
            "line": (former.receipt or {})["remote_id"],
            "blob": blob.uri,
            "blob_sha256": blob.stored_sha256,
        }

    def _former(self, job_id: str) -> Job:
        try:
            former: Job = self.provider.notes.get(job_id)
        except JobNotFound:
            raise InvalidJob("former: there is no such job, or it is past its retention") from None
        if former.provider != self.provider.name:
            raise InvalidJob("former: this is not a job of unique_tokens")
        if former.state is not JobState.SUCCEEDED:
            raise InvalidJob(f"former: this job has not succeeded ({former.state}); trigger this one when it has")
        return former

    def _reserve(self, request: ContinueRequest, job_id: str) -> None:
        """One job continues another: the same snapshot restored twice would give the same tokens twice (6.7).

        The note outlives the record of the former job, without which nobody can ask for its snapshot any more.
        """
        notes, name, note = self.provider.notes, self.provider.name, f"continued:{request.former}"
        held = notes.remember(name, note, job_id, of_job=request.former)
        if held == job_id or request.again:
            return
        try:
            other: Job | None = notes.get(held)
        except JobNotFound:
            other = None
        if other is not None and _never_arrived(other):
            notes.forget(name, note, held)
            held = notes.remember(name, note, job_id, of_job=request.former)
        if held != job_id:
            raise InvalidJob(
                f"former: {held} continues this job already: continue that one. With `again` it is done all the same, "
                "and both may give the same tokens"
            )

    def _read_blob(self, uri: str, sha256: str | None) -> bytes:
        """The stored snapshot.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not what was stored.
        """
        blob = bytearray()
        for chunk in self.provider.files(uri):
            blob += chunk
            if len(blob) > MAX_SNAPSHOT:
                raise ValueError("too long")
        if hashlib.sha256(blob).hexdigest() != sha256:
            raise ValueError("changed")
        return bytes(blob)

    async def submit(self, request: ContinueRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`POST /api/tokens/{id}`, multipart: restores the line and produces its next part; paid like the first."""
        try:
            blob = await asyncio.to_thread(self._read_blob, intent["blob"], intent["blob_sha256"])
        except (OSError, ValueError) as error:
            raise NotSent(f"the stored snapshot cannot be read ({getattr(error, 'strerror', None) or error})") from None
        try:
            await self.provider.session()
        except ProviderError as error:
            raise not_sent(error, "no session could be opened") from None
        info = json.dumps(order(request, intent["alphabet"], int(intent["digits"]))).encode()
        files: Parts = {
            "info.json": ("info.json", info, MEDIA_TYPE),
            "snapshot.blob": ("snapshot.blob", blob, "application/octet-stream"),
        }
        path = f"/api/tokens/{segment(intent['line'])}"
        body, session = await self.provider.exchange("POST", path, params=_level(intent), files=files, submits=True)
        return _receipt(body, session)


def _never_arrived(job: Job) -> bool:
    """Whether a job that ended was certainly never ordered."""
    refused = job.failure is not None and job.failure.kind in ("invalid", "not_configured", "refused")
    return job.finished and job.receipt is None and (refused or job.intent is None)


class UniqueTokens(SessionProvider):
    """The Unique Tokens API."""

    settings_type = UniqueTokensSettings
    operations = (Produce, Continue)

    def __init__(self, settings: UniqueTokensSettings, notes: Ledger) -> None:
        super().__init__(settings, notes)
        self.alphabets = Alphabets(self, mark=settings.alphabet_names == "marked", ask=settings.check_capacity)

    async def probe(self) -> list[Probe]:
        """Ask what changes nothing, and tell which assumption holds (contract 10)."""
        return await probe(self)


PROVIDER = UniqueTokens
