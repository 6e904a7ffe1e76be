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
from providers.base import (
    Located,
    Observation,
    Operation,
    Provider,
    ProviderSettings,
    Request,
    Verdict,
    Words,
    id_text,
)
from providers.errors import BadAnswer, ForeignHost, PermanentError, Refused, Unauthorized, Unavailable, scrub
from providers.http import Answer, segment

#: An unanswered `/create` is looked for on so many pages of `/recent-files`, 30 entries each: the order of the list is
#: not documented, so ours may be on the last one (contract 6).
LOCATE_PAGES = 20


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
    hash: str = Field(pattern=r"^[0-9a-fA-F]{64}$", description="the SHA-256 of the file, as 64 hexadecimal digits")
    size: str = Field(pattern=r"^\d+(\.\d+)?$", description="in kilobytes", coerce_numbers_to_str=True)


def _envelope(answer: Answer) -> dict[str, Any]:
    """The envelope of a success, after the HTTP code and its own integer `status` were judged (contract 9)."""
    body = answer.check("message").object()
    status, hint = _code(body.get("status")), _code(body.get("customErrorNumber"))
    if status is None and ("customErrorNumber" in body or "errorField" in body):
        status = hint if hint is not None and hint >= 400 else 400  # the weak-hint shape of an error (contract 7)
    if status is not None and 400 <= status < 600:
        Answer(status, answer.headers, answer.body).check("message")
    return body


def _code(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) == 3:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _results(answer: Answer) -> list[dict[str, Any]]:
    """What an answer is about: `result` or `results`, an object or an array of objects (contract 9)."""
    body = _envelope(answer)
    for found in (body.get("result"), body.get("results")):
        if found:
            return [entry for entry in (found if isinstance(found, list) else [found]) if isinstance(entry, dict)]
    return []


def _one(answer: Answer, version: str | None = None) -> dict[str, Any]:
    """The one result; of several versions of a file the one that was asked for."""
    found = _results(answer)
    if version is not None:
        found = [entry for entry in found if entry.get("version_id", version) == version]
    if not found:
        raise BadAnswer("the answer holds no result")
    return found[0]


def _same(value: Any, digest: str) -> bool:
    return isinstance(value, str) and value.lower() == digest


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
            result = _one(answer)
        except Refused as refused:
            try:
                found = await self._ours(_revealed(answer), intent) or await self._look_up(intent)
            except PermanentError:
                found = None
            if found is None:
                raise refused from None
            return found
        version = id_text(result.get("versionId"))
        if version is None:
            raise BadAnswer("the answer names no versionId")
        return _receipt(version, result.get("fileId"))

    async def _version(self, version: str) -> dict[str, Any]:
        """`POST /get-version/{versionId}`: a POST that only reads (seed page)."""
        return _one(await self.provider.http.call("POST", f"/get-version/{segment(version)}"), version)

    async def _ours(self, version: Any, intent: Mapping[str, Any]) -> dict[str, Any] | None:
        """The receipt for this version, if it has our name and our hash."""
        if (known := id_text(version)) is None:
            return None
        try:
            seen = await self._version(known)
        except PermanentError:
            return None
        named = intent["name"] in (seen.get("version_name"), seen.get("fileName"))
        return _receipt(known, seen.get("fileId")) if named and _same(seen.get("hash"), intent["hash"]) else None

    async def _look_up(self, intent: Mapping[str, Any]) -> dict[str, Any] | None:
        """The receipt of a certificate with our name and our hash, if the account has one."""
        for page in range(1, LOCATE_PAGES + 1):
            try:
                entries = _results(await self.provider.http.call("GET", "/recent-files", params={"page": str(page)}))
            except PermanentError:
                if page == 1:
                    raise
                return None  # a page after the last one may be an error (contract 8.15)
            if not entries:
                return None
            for entry in entries:
                if entry.get("name") == intent["name"]:
                    found = await self._ours(entry.get("primary_version_id"), intent)
                    if found is not None:
                        return found
        return None

    async def locate(self, request: CertifyRequest, intent: Mapping[str, Any]) -> Located:
        """Found by name and hash: adopt it. Not found: a repeat is safe, name and hash are unique (contract 2.3)."""
        receipt = await self._look_up(intent)
        return Located(receipt=receipt, absent=receipt is None)

    async def observe(self, job: Job) -> Observation:
        """Done when word, hash and transaction say so together; failed when `error` has any key (contract 3.3)."""
        seen = await self._version((job.receipt or {})["remote_id"])
        word = seen.get("status")
        verdict, known = self.provider.words.verdict(word)
        trouble = seen.get("error")
        message = None
        if trouble and isinstance(trouble, dict | list | str):
            verdict, known = Verdict.FAILED, True
            names = scrub(", ".join(map(str, trouble))) if isinstance(trouble, dict) else ""
            message = "the version has an error" + (f" ({names})" if names else "")
        elif verdict is Verdict.SUCCEEDED:
            expected = (job.intent or {})["hash"]
            digest, transaction = seen.get("hash"), seen.get("transaction_id")
            if not digest or not isinstance(digest, str):
                verdict, message = Verdict.RUNNING, "completed, but without its hash yet"
            elif not _same(digest, expected):
                verdict, message = Verdict.FAILED, f"certified another hash than {expected}"
            elif not transaction or not isinstance(transaction, str):
                verdict, message = Verdict.RUNNING, "completed, but without a transaction yet"
        return Observation(
            verdict,
            word=word if isinstance(word, str) else None,
            known=known,
            message=message,
            result=self._summary(seen, job) if verdict is Verdict.SUCCEEDED else {},
            artifacts=self._files() if verdict is Verdict.SUCCEEDED else (),
        )

    @staticmethod
    def _summary(seen: Mapping[str, Any], job: Job) -> dict[str, Any]:
        """What a caller needs of the version; `user` is personal data and stays out."""
        return {
            "version_id": (job.receipt or {})["remote_id"],
            "file_id": id_text(seen.get("fileId")),
            "transaction_id": id_text(seen.get("transaction_id")),
            "hash": (job.intent or {})["hash"],
        }

    def _files(self) -> tuple[Artifact, ...]:
        return (Artifact(name="certificate.pdf"),) if self.provider.settings.certificate else ()

    @asynccontextmanager
    async def download(self, job: Job, artifact: Artifact) -> AsyncIterator[AsyncIterator[bytes]]:
        """The PDF: its link is asked for at the time of use, it dies after 60 s and is never stored (contract 4)."""
        version = segment((job.receipt or {})["remote_id"])
        answer = await self.provider.http.call("POST", f"/get-version/{version}/certificate")
        try:
            link = _one(answer).get("certificateLink")
        except PermanentError as refused:
            # What it answers before the PDF is made is not documented: the deadline ends it, not the first refusal.
            raise Unavailable(f"no certificate yet ({refused})") from None
        if not isinstance(link, str) or not link:
            raise BadAnswer("the answer names no certificateLink")
        try:
            async with self.provider.http.download(link) as chunks:
                yield chunks
        except ForeignHost:
            raise
        except (PermanentError, Unauthorized) as refused:  # a dead link says nothing of our key
            raise Unavailable(f"the certificate's link is dead ({refused})") from None


def _receipt(version: str, file: Any) -> dict[str, Any]:
    return {"remote_id": version, "file_id": id_text(file) or ""}


def _revealed(answer: Answer) -> Any:
    """The version that a refusal as duplicate names, if it names one (contract 8.5)."""
    try:
        result = answer.object().get("result")
    except BadAnswer:
        return None
    return result.get("versionId") if isinstance(result, dict) else None


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
