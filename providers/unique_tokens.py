"""Unique Tokens: paid production of token files (contract unique-tokens).

Every call but the opening of a session carries a Session-Key, shared by the workers through the ledger. Numbers come as
strings and can exceed 64 bits. An `errors` member means failure whatever the HTTP code says (8).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, ClassVar, Literal

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
from providers.errors import (
    BadAnswer,
    Busy,
    NotSent,
    PermanentError,
    ProviderError,
    Refused,
    TransientError,
    Unauthorized,
    scrub,
)
from providers.http import Answer, problem, retry_after, segment

#: Contract 7. No word of failure is documented; a dismantled line can never bring its files.
WORDS = Words(succeeded=("ended", "finished", "analyzed"), failed=("deleted",), running=("requested", "started"))

MEDIA_TYPE = "application/vnd.api+json"

#: A file that begins like a JSON object is read so far, in bytes, to see whether it is an error document.
ERROR_DOCUMENT = 64 * 1024


class UniqueTokensSettings(ProviderSettings):
    """Production takes seconds to minutes (contract 9)."""

    poll_maximum: float = Field(15.0, gt=0, description="longest countdown, seconds")
    poll_at: Literal["milestone", "current"] = Field(
        "milestone", description="ask /ended and /finished as the seed page does, or for the current state"
    )


class Payment(Request):
    """A confirmed payment (contract 5)."""

    id: str = Field(min_length=1, description="transaction id")
    ident: str = Field(min_length=1, description="payment intent")


class ProduceRequest(Request):
    """The keyword arguments of `settle.unique_tokens.produce` (contract 6.1)."""

    alphabet: str = Field(min_length=1, max_length=100, description="name of a preset or custom alphabet")
    digits: int = Field(ge=3, le=100, description="characters of each token")
    size: int = Field(ge=1000, le=100_000, description="number of tokens")
    payment: Payment
    seed: str | None = Field(None, min_length=1, description="enters the hashes of the files; recommended")
    snapshot: bool = Field(False, description="also fetch the snapshot from which a next part can be produced")


def _check(answer: Answer) -> dict[str, Any]:
    """The document, unless it is an error document. The code in `errors` may be the only true one (contract 8).

    Raises:
        ProviderError: as `Answer.check`.
    """
    try:
        body = answer.object()
    except BadAnswer:
        answer.check()
        raise
    errors = body.get("errors")
    if not errors:
        answer.check()
        return body
    first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
    said = _whole(first.get("status"))
    status = said if said is not None and 400 <= said < 600 else answer.status
    source = first.get("source")
    parameter = source.get("parameter") if isinstance(source, dict) else None
    words = [scrub(first[name], limit=100) for name in ("title", "detail") if isinstance(first.get(name), str)]
    reason = f"{status}: {'; '.join(words)}" + (f" (parameter: {scrub(parameter, limit=40)})" if parameter else "")
    raise problem(status, reason, wait=retry_after(answer.headers))


def _part(body: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """An object inside a document; an empty one if it is not there."""
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


class Produce(Operation[ProduceRequest]):
    """Produce tokens: start a production line once, poll it, fetch its files."""

    name = "produce"
    request = ProduceRequest

    def intent(self, request: ProduceRequest, job_id: str) -> dict[str, Any]:
        """The payment intent, by which a lost line is found, and what was asked for."""
        return {
            "ident": request.payment.ident,
            "alphabet": request.alphabet,
            "digits": request.digits,
            "size": request.size,
            "snapshot": request.snapshot,
        }

    async def submit(self, request: ProduceRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """`POST /api/tokens`: a paid job; production starts at once."""
        payment = {"type": "transaction", "id": request.payment.id, "ident": request.payment.ident}
        body: dict[str, Any] = {
            "data": {
                "type": "tokens",
                "attributes": {
                    "alphabet": request.alphabet,
                    "digits": str(request.digits),
                    "size": str(request.size),
                },
                "relationships": {"payment": {"data": payment}},
            }
        }
        if request.seed:
            body["meta"] = {"seed": request.seed}
        try:
            await self.provider.session()
        except TransientError as error:  # whatever became of the session, the order itself never left
            if error.may_have_arrived:
                raise NotSent(f"no session could be opened ({error})", retry_after=error.retry_after) from None
            raise
        line = id_text(_part(await self.provider.call("POST", "/api/tokens", json=body), "data").get("id"))
        if line is None:
            raise BadAnswer("the answer names no data.id")
        return {"remote_id": line}

    async def locate(self, request: ProduceRequest, intent: Mapping[str, Any]) -> Located:
        """Look for a line with our payment intent among those of the session (contract 9)."""
        lines = (await self.provider.call("GET", "/api/tokens")).get("data")
        for line in lines if isinstance(lines, list) else []:
            attributes = _part(line, "attributes")
            if (
                _part(line, "relationships", "payment", "data").get("ident") == intent["ident"]
                and attributes.get("alphabet") == intent["alphabet"]
                and str(attributes.get("digits")) == str(intent["digits"])
                and (found := id_text(line.get("id"))) is not None
            ):
                return Located(receipt={"remote_id": found})
        return Located()  # the session may not be the one it was sent in, so this proves nothing

    async def cancel(self, job: Job) -> bool:
        """Dismantle the line: allowed at any time, and irreversible (contract 6.9)."""
        await self.provider.call("DELETE", f"/api/tokens/{segment((job.receipt or {})['remote_id'])}")
        return True

    async def observe(self, job: Job) -> Observation:
        """The line's record at the milestone we wait for; before it, whatever the service answers (contract 6.4)."""
        path = f"/api/tokens/{segment((job.receipt or {})['remote_id'])}"
        snapshot = bool((job.intent or {}).get("snapshot"))
        if self.provider.settings.poll_at == "milestone":
            try:
                body = await self.provider.call("GET", f"{path}/{'finished' if snapshot else 'ended'}")
            except PermanentError:  # before the milestone an error is as likely as a record (contract 10.3)
                body = await self.provider.call("GET", path)
        else:
            body = await self.provider.call("GET", path)
        return self._read(body, job, snapshot=snapshot)

    def _read(self, body: Mapping[str, Any], job: Job, *, snapshot: bool) -> Observation:
        attributes, links = _part(body, "data", "attributes"), _part(body, "links")
        word, progress = attributes.get("status"), attributes.get("progress")
        verdict, known = WORDS.verdict(word)
        message = "the line was dismantled" if verdict is Verdict.FAILED else None
        # A missing link means "not available yet", but a used-up line never gets a snapshot (contract 11).
        partial = attributes.get("partial")
        to_come = snapshot and (partial is True or (partial is not False and word == "ended"))
        if verdict is Verdict.SUCCEEDED and not (_link(links, "data") and (_link(links, "snapshot") or not to_come)):
            verdict = Verdict.RUNNING
        files: list[Artifact] = []
        result: dict[str, Any] = {}
        if verdict is Verdict.SUCCEEDED:
            intent, size = job.intent or {}, _whole(attributes.get("size"))
            files.append(self._file("data", body, lines=size))
            if snapshot and _link(links, "snapshot"):
                files.append(self._file("snapshot", body, lines=None))
            result = {
                "size": size,
                "scaled_down": size is not None and size < int(intent["size"]),
                "digits": int(intent["digits"]),
                "alphabet": intent["alphabet"],
                "partial": partial is True,
                "available": id_text(attributes.get("available")),  # a string: it can exceed 64 bits by far
            }
        return Observation(
            verdict,
            word=word if isinstance(word, str) else None,
            known=known,
            progress=progress if type(progress) is int and 0 <= progress <= 100 else None,
            message=message,
            result=result,
            artifacts=tuple(files),
        )

    @staticmethod
    def _file(key: str, body: Mapping[str, Any], *, lines: int | None) -> Artifact:
        attributes = _part(body, "data", "attributes")
        digest = _part(attributes, "filehashes").get(key)
        seed = _part(body, "meta").get("seed")
        return Artifact(
            name="tokens.txt" if key == "data" else f"{key}.blob",
            link=str(_part(body, "links")[key]),
            size=_whole(_part(attributes, "filesizes").get(key)),
            lines=lines,
            sha256=digest if isinstance(digest, str) and digest else None,
            seed=seed if isinstance(seed, str) else None,
        )

    @asynccontextmanager
    async def download(self, job: Job, artifact: Artifact) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a file. Its content type says JSON whatever it holds (contract 1), so only the content tells."""
        session = await self.provider.session()
        async with AsyncExitStack() as stack:
            opened = self.provider.http.download(artifact.link or "", headers={"Session-Key": session})
            try:
                chunks = await stack.enter_async_context(opened)
                head, whole = await _head(chunks)
                if whole:
                    _no_errors(head)
            except Unauthorized as refused:
                raise await self.provider.refusal(session, refused) from None
            yield _joined(head, chunks)


async def _head(chunks: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The begin of a file; all of it, and true, if it is small and begins like a JSON object."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if not head.lstrip().startswith(b"{") or len(head) > ERROR_DOCUMENT:
            return head, False
    return head, True


async def _joined(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for chunk in chunks:
        yield chunk


def _no_errors(content: bytes) -> None:
    """Refuse a "file" that is an error document, whatever its HTTP code was (contract 8)."""
    with suppress(BadAnswer):
        _check(Answer(200, {}, content))


def _link(links: Mapping[str, Any], key: str) -> str | None:
    link = links.get(key)
    return link if isinstance(link, str) and link else None


def _whole(value: Any) -> int | None:
    """A whole number that may come as a string of any length."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 4000:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class UniqueTokens(Provider):
    """The Unique Tokens API."""

    name: ClassVar[str] = "unique_tokens"
    settings_type = UniqueTokensSettings
    operations = (Produce,)

    def __init__(self, settings: UniqueTokensSettings, notes: Any) -> None:
        super().__init__(settings, notes)
        self._opening = asyncio.Lock()

    def headers(self) -> dict[str, str]:
        """Both media types, also on calls without a body (contract 1). The keys differ per call."""
        return {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}

    async def session(self) -> str:
        """The Session-Key that all workers share; opens a session if there is none.

        Raises:
            ProviderError: none could be opened; `Unauthorized` if the Api-Key is not accepted.
        """
        async with self._opening:  # a bundle of jobs opens one session, not one each
            held = self.notes.recall(self.name, "session")
            if held:
                return held
            body = {"data": {"type": "session", "attributes": {}}}
            opened = _check(await self.http.call("POST", "/api/sessions", json=body, headers={"Api-Key": self.key}))
            ours = id_text(_part(opened, "data").get("id"))
            if ours is None:
                raise BadAnswer("the answer names no session")
            session = self.notes.remember(self.name, "session", ours)
        if session != ours:  # another worker was quicker
            keys = {"Api-Key": self.key, "Session-Key": ours}
            with suppress(ProviderError):
                await self.http.call("DELETE", f"/api/sessions/{segment(ours)}", headers=keys)
        return session

    async def call(self, method: str, path: str, *, json: Any = None) -> dict[str, Any]:
        """Make one call within the session, and judge its answer.

        Raises:
            Busy: the session is not accepted any more; the next try opens another.
            ProviderError: as `ProviderClient.call` and `Answer.check`.
        """
        session = await self.session()
        try:
            return _check(await self.http.call(method, path, json=json, headers={"Session-Key": session}))
        except Unauthorized as refused:
            raise await self.refusal(session, refused, reading=method == "GET") from None

    async def refusal(self, session: str, refused: Unauthorized, *, reading: bool = True) -> ProviderError:
        """What a 401 or 403 within a session means: the codes for a strange line and a dead session may be the same.

        The lines belong to their session, so it is given up only if its own list is refused as well.
        """
        try:
            _check(await self.http.call("GET", "/api/tokens", headers={"Session-Key": session}))
        except Unauthorized:
            self.notes.forget(self.name, "session", session)
            return Busy(f"the session is not accepted any more ({refused})", retry_after=1.0)
        except ProviderError as error:
            return Busy(f"{refused}; whether the session is alive could not be asked ({error})")
        return Refused(str(refused), status=403) if reading else refused


PROVIDER = UniqueTokens
