"""myIPR: certificates minted on a blockchain (contract myipr).

Only a hash is sent. The name is the one thing a certificate can be looked up by, so it is the intent. A certificate is
there when `result.status`, `transaction_id` and `hash` say so together; `fileStatus` says nothing (3.2).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal

from pydantic import Field

from jobs.artifacts import Artifact
from jobs.record import Job
from providers.answer import Answer
from providers.base import Located, Observation, Operation, Probe, Provider, Verdict, Words, id_text
from providers.errors import BadAnswer, PermanentError, Refused, scrub
from providers.http import segment
from providers.myipr.answers import one, results
from providers.myipr.categories import Categories
from providers.myipr.certificate import certificate
from providers.myipr.probe import look_around
from providers.myipr.request import CertifyRequest, derived_name, kilobytes
from providers.settings import ProviderSettings

#: One of these stands beside `message` in an error of the API's own (contract 7, 9).
_ERROR_FIELDS = frozenset({"status", "customErrorNumber", "errorField"})


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
    name_prefix: str = Field(
        "settle-", max_length=17, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", description="of the names that are made up"
    )
    kilobyte: Literal[1000, 1024] = Field(1024, description="bytes in a kilobyte of `size`; not documented")
    categories_method: Literal["GET", "POST"] = Field("GET", description="of /categories; not documented")
    categories_id: str = Field("id", min_length=1, description="the field with a category's id in /categories")
    categories_name: str = Field("name", min_length=1, description="the field with its name")
    recent_order: Literal["unknown", "newest"] = Field(
        "unknown", description="newest: /recent-files begins with the newest, so its first pages are enough"
    )
    recent_pages: int = Field(
        50, ge=1, description="so many pages of /recent-files, 30 entries each, are read for a lost submission"
    )


def _same(value: Any, digest: str) -> bool:
    return isinstance(value, str) and value.lower() == digest


class Certify(Operation[CertifyRequest]):
    """Certify a hash: create once, poll the version, fetch the certificate."""

    name = "certify"
    request = CertifyRequest
    source = "file"
    asks_without_ledger = True  # by name and hash, which are unique (contract 2.3)

    @classmethod
    def measured(cls, body: Mapping[str, Any], sha256: str, size: int) -> dict[str, Any]:
        """The keyword arguments with the hash and the length of the file in its place."""
        return {**{key: value for key, value in body.items() if key != cls.source}, "hash": sha256, "size_bytes": size}

    def intent(self, request: CertifyRequest, job_id: str) -> dict[str, Any]:
        """Name and hash: what a lost creation is found by."""
        digest = (request.hash or "").lower()
        name = request.name or derived_name(self.provider.settings.name_prefix, digest, job_id)
        return {"name": name, "hash": digest}

    async def submit(self, request: CertifyRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`POST /create`. A refusal as duplicate may be our own first attempt, so it is looked up (contract 2.3)."""
        settings = self.provider.settings
        body = {
            "name": intent["name"],
            "category_id": request.category_id or await self.provider.categories.id_of(request.category or ""),
            "file_source": "client-hash",
            "hash": intent["hash"],
            "size": request.size or kilobytes(request.size_bytes or 0, settings.kilobyte),
        }
        answer = await self.provider.http.call("POST", "/create", json=body, submits=True)
        try:
            result = one(answer)
        except Refused as refused:
            try:
                receipt = await self._ours(_revealed(answer), intent)
                found = Located(receipt=receipt) if receipt else await self._look_up(intent)
            except PermanentError:
                raise refused from None
            if found.receipt is not None:
                return dict(found.receipt)
            if found.absent:
                raise refused from None
            raise BadAnswer("refused, perhaps as a duplicate of our own: not all of /recent-files was read") from None
        version = id_text(result.get("versionId"))
        if version is None:
            raise BadAnswer("the answer names no versionId")
        return _receipt(version, result.get("fileId"))

    async def _version(self, version: str) -> dict[str, Any]:
        """`POST /get-version/{versionId}`: a POST that only reads (seed page)."""
        return one(await self.provider.http.call("POST", f"/get-version/{segment(version)}"), version)

    async def _ours(self, version: Any, intent: Mapping[str, Any]) -> dict[str, Any] | None:
        """The receipt for this version, if it has our name and our hash.

        Raises:
            BadAnswer: it has our name, but shows no hash yet.
        """
        if (known := id_text(version)) is None:
            return None
        try:
            seen = await self._version(known)
        except PermanentError:
            return None
        if intent["name"] not in (seen.get("version_name"), seen.get("fileName")):
            return None
        if not seen.get("hash"):
            raise BadAnswer("a version of our name shows no hash yet")
        return _receipt(known, seen.get("fileId")) if _same(seen["hash"], intent["hash"]) else None

    async def _look_up(self, intent: Mapping[str, Any]) -> Located:
        """Whether the account has a certificate with our name and our hash; neither if the list is too long to tell."""
        settings, before = self.provider.settings, None
        for page in range(1, settings.recent_pages + 1):
            try:
                entries = results(await self.provider.http.call("GET", "/recent-files", params={"page": str(page)}))
            except PermanentError:
                if page == 1:
                    raise
                return Located(absent=True)  # a page after the last one may be an error (contract 8.15)
            if not entries or entries == before:  # or the last one once more
                return Located(absent=True)
            before = entries
            for entry in entries:
                if entry.get("name") == intent["name"]:
                    found = await self._ours(entry.get("primary_version_id"), intent)
                    if found is not None:
                        return Located(receipt=found)
        return Located(absent=settings.recent_order == "newest")

    async def locate(self, request: CertifyRequest, intent: Mapping[str, Any]) -> Located:
        """Found by name and hash: adopt it. Not found: a repeat is safe, name and hash are unique (contract 2.3)."""
        return await self._look_up(intent)

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
            "name": (job.intent or {}).get("name"),
            "version_id": (job.receipt or {})["remote_id"],
            "file_id": id_text(seen.get("fileId")),
            "transaction_id": id_text(seen.get("transaction_id")),
            "hash": (job.intent or {})["hash"],
        }

    def _files(self) -> tuple[Artifact, ...]:
        return (Artifact(name="certificate.pdf"),) if self.provider.settings.certificate else ()

    @asynccontextmanager
    async def download(self, job: Job, artifact: Artifact) -> AsyncIterator[AsyncIterator[bytes]]:
        """The PDF, under a link that is asked for now: it dies after 60 s and is never stored (contract 4)."""
        async with certificate(self.provider.http, (job.receipt or {})["remote_id"]) as chunks:
            yield chunks


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
        self.categories = Categories(self)

    async def probe(self) -> list[Probe]:
        """Look at the list of files, the categories, and one version with its certificate."""
        return await look_around(self)

    def own_error(self, answer: Answer) -> bool:
        """The envelope with its own `status`, or the weak-hint shape (contract 7, 9)."""
        body = answer.error_body()
        return isinstance(body.get("message"), str) and not body.keys().isdisjoint(_ERROR_FIELDS)

    def headers(self) -> dict[str, str]:
        """The key stands behind the word SECRET (contract 1)."""
        return {"Authorization": f"SECRET {self.key}", "Accept": "application/json"}


PROVIDER = MyIPR
