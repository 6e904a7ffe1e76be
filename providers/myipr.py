"""myIPR: certificates minted on a blockchain (contract myipr).

Only a hash is sent. The name is the one thing a certificate can be looked up by, so it is the intent. A certificate is
there when `result.status`, `transaction_id` and `hash` say so together; `fileStatus` says nothing (3.2).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from pydantic import Field

from jobs.artifacts import Artifact
from jobs.record import Job
from providers.base import Located, Observation, Operation, Provider, ProviderSettings, Request, Verdict, Words
from providers.errors import BadAnswer, Refused, TransientError, Unavailable, scrub
from providers.http import Answer

#: An unanswered `/create` is looked for on so many pages of `/recent-files`, 30 entries each (contract 6).
LOCATE_PAGES = 5


class MyIPRSettings(ProviderSettings):
    """Minting takes 2 s to 10 min (seed page). Most words are documented nowhere, so they are settings."""

    poll_maximum: float = Field(20.0, gt=0, description="longest countdown, seconds")
    deadline: float = Field(20 * 60.0, gt=0, description="from the trigger; after it a job is expired, seconds")
    download_hosts: tuple[str, ...] = Field(
        ("*.amazonaws.com",), description="the certificate's pre-signed link leads to another host (contract 4)"
    )
    words_succeeded: tuple[str, ...] = Field(("completed",), description="words of success; letter case is ignored")
    words_running: tuple[str, ...] = Field(("in_progress", "pending", "processing"), description="words of minting")
    words_failed: tuple[str, ...] = Field((), description="words of failure; none is documented")
    certificate: bool = Field(True, description="whether the certificate's PDF is fetched")


class CertifyRequest(Request):
    """The keyword arguments of `settle.myipr.certify` (contract 2.1)."""

    name: str = Field(min_length=1, max_length=200, pattern=r"^\S", description="unique; must not start with a space")
    category_id: str = Field(min_length=1, description="an id from /categories", coerce_numbers_to_str=True)
    hash: str = Field(pattern=r"^[0-9a-fA-F]{64}$", description="SHA-256 of the file, hex")
    size: str = Field(pattern=r"^\d+(\.\d+)?$", description="in kilobytes", coerce_numbers_to_str=True)


def _result(answer: Answer) -> Any:
    """The envelope's `result`, after the HTTP code and the envelope's integer `status` were judged (contract 9)."""
    body = answer.check("message").object()
    status = body.get("status")
    if isinstance(status, int) and not isinstance(status, bool) and status >= 400:
        Answer(status, answer.headers, answer.body).check("message")
    return body.get("result", body.get("results"))


def _one(result: Any) -> dict[str, Any]:
    if isinstance(result, list):
        result = result[0] if result else None
    if not isinstance(result, dict):
        raise BadAnswer("the answer holds no result")
    return result


class Certify(Operation[CertifyRequest]):
    """Certify a hash: create once, poll the version, fetch the certificate."""

    name = "certify"
    request = CertifyRequest

    def intent(self, request: CertifyRequest, job_id: str) -> dict[str, Any]:
        """Name and hash: what a lost creation is found by."""
        return {"name": request.name, "hash": request.hash.lower()}

    async def submit(self, request: CertifyRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`POST /create`. A refusal as duplicate may be our own first attempt, so it is looked up (contract 2.3)."""
        body = {
            "name": request.name,
            "category_id": request.category_id,
            "file_source": "client-hash",
            "hash": intent["hash"],
            "size": request.size,
        }
        answer = await self.provider.http.call("POST", "/create", json=body)
        try:
            result = _one(_result(answer))
        except Refused as refused:
            found = await self._look_up(intent)
            if found is None:
                raise refused from None
            return found
        version = result.get("versionId")
        if not isinstance(version, str) or not version:
            raise BadAnswer("the answer names no versionId")
        return {"remote_id": version, "file_id": str(result.get("fileId") or "")}

    async def _look_up(self, intent: Mapping[str, Any]) -> dict[str, Any] | None:
        """The receipt of a certificate with our name and our hash, if the account has one."""
        for page in range(1, LOCATE_PAGES + 1):
            entries = _result(await self.provider.http.call("GET", "/recent-files", params={"page": str(page)}))
            if not isinstance(entries, list) or not entries:
                return None
            for entry in entries:
                if isinstance(entry, dict) and entry.get("name") == intent["name"]:
                    version = str(entry.get("primary_version_id") or "")
                    seen = _one(_result(await self.provider.http.call("POST", f"/get-version/{version}")))
                    if str(seen.get("hash", "")).lower() == intent["hash"]:
                        return {"remote_id": version, "file_id": str(entry.get("id") or "")}
        return None

    async def locate(self, request: CertifyRequest, intent: Mapping[str, Any]) -> Located:
        """Found by name and hash: adopt it. Not found: a repeat is safe, name and hash are unique (contract 2.3)."""
        receipt = await self._look_up(intent)
        return Located(receipt=receipt, absent=receipt is None)

    async def observe(self, job: Job) -> Observation:
        """`POST /get-version/{versionId}`: a POST that only reads (seed page)."""
        version = (job.receipt or {})["remote_id"]
        seen = _one(_result(await self.provider.http.call("POST", f"/get-version/{version}")))
        word = seen.get("status")
        verdict, known = self.provider.words.verdict(word)
        trouble = seen.get("error")
        message = None
        if trouble:
            verdict, known = Verdict.FAILED, True
            message = scrub(", ".join(map(str, trouble)) if isinstance(trouble, dict) else trouble)
            message = f"the version has an error: {message}"
        elif verdict is Verdict.SUCCEEDED:
            expected = (job.intent or {})["hash"]
            if str(seen.get("hash", "")).lower() != expected:
                verdict, message = Verdict.FAILED, f"certified another hash than {expected}"
            elif not seen.get("transaction_id"):
                verdict, message = Verdict.RUNNING, "completed, but without a transaction yet"
        return Observation(
            verdict,
            word=word if isinstance(word, str) else None,
            known=known,
            message=message,
            result=self._summary(seen) if verdict is Verdict.SUCCEEDED else {},
            artifacts=self._files() if verdict is Verdict.SUCCEEDED else (),
        )

    @staticmethod
    def _summary(seen: Mapping[str, Any]) -> dict[str, Any]:
        """What a caller needs of the version; `user` is personal data and stays out."""
        return {
            "version_id": seen.get("version_id"),
            "file_id": seen.get("fileId"),
            "transaction_id": seen.get("transaction_id"),
            "hash": seen.get("hash"),
        }

    def _files(self) -> tuple[Artifact, ...]:
        return (Artifact(name="certificate.pdf"),) if self.provider.settings.certificate else ()

    @asynccontextmanager
    async def download(self, job: Job, artifact: Artifact) -> AsyncIterator[AsyncIterator[bytes]]:
        """The PDF: its link is asked for at the time of use, it dies after 60 s and is never stored (contract 4)."""
        version = (job.receipt or {})["remote_id"]
        try:
            answer = _one(_result(await self.provider.http.call("POST", f"/get-version/{version}/certificate")))
        except Refused as refused:
            # What it answers before the PDF is made is not documented: the deadline ends it, not the first refusal.
            raise Unavailable(f"no certificate yet ({refused})") from None
        link = answer.get("certificateLink")
        if not isinstance(link, str) or not link:
            raise BadAnswer("the answer names no certificateLink")
        try:
            async with self.provider.http.download(link) as chunks:
                yield chunks
        except TransientError:
            raise
        except Refused as refused:
            raise Unavailable(f"the certificate's link is dead ({refused})") from None


class MyIPR(Provider):
    """The myIPR Open API."""

    name: ClassVar[str] = "myipr"
    settings_type = MyIPRSettings
    operations = (Certify,)

    def __init__(self, settings: MyIPRSettings, notes: Any) -> None:
        super().__init__(settings, notes)
        self.words = Words(
            succeeded=settings.words_succeeded,
            failed=settings.words_failed,
            running=settings.words_running,
            fold=True,
        )

    def headers(self) -> dict[str, str]:
        """The key stands behind the word SECRET (contract 1)."""
        return {"Authorization": f"SECRET {self.key}", "Accept": "application/json"}


PROVIDER = MyIPR
