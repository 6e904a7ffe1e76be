"""Production lines of Unique Tokens: found again, polled, read, fetched and dismantled (contract unique-tokens 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from jobs.artifacts import Artifact, Verification
from jobs.record import Job
from providers.answer import Answer
from providers.base import Located, Observation, Operation, Request, Verdict, Words, id_text
from providers.errors import NotFound, PermanentError, Unauthorized
from providers.http import segment
from providers.unique_tokens.documents import check, head_of, joined, link, no_errors, part, whole

#: Contract 7. No word of failure is documented; a dismantled line can never bring its files.
WORDS = Words(succeeded=("ended", "finished", "analyzed"), failed=("deleted",), running=("requested", "started"))

SNAPSHOT, ANALYSIS = "snapshot.blob", "analysis.json"

RequestT = TypeVar("RequestT", bound=Request)


class Line(Operation[RequestT]):
    """What the parts of a line have in common, once they are ordered."""

    async def locate(self, request: RequestT, intent: Mapping[str, Any]) -> Located:
        """Look for a line with our payment intent among those of the session (contract 9)."""
        body, within = await self.provider.exchange("GET", "/api/tokens")
        for line in _listed(body):
            attributes = part(line, "attributes")
            if (
                part(line, "relationships", "payment", "data").get("ident") == intent["ident"]
                and attributes.get("alphabet") == intent["alphabet"]
                and str(attributes.get("digits")) == str(intent["digits"])
                and (found := id_text(line.get("id"))) is not None
            ):
                return Located(receipt={"remote_id": found, "session": within})
        return Located()  # the session may not be the one it was sent in, so this proves nothing

    async def cancel(self, job: Job) -> bool:
        """Dismantle the line: allowed at any time, and irreversible (contract 6.9)."""
        await self.provider.call("DELETE", _path(job))
        return True

    async def tidy(self, job: Job) -> dict[str, Any]:
        """Dismantle the line, which has served its purpose: the caller must (contract 6.9).

        It is left alone if a file came with nothing that it could be checked by, or if its session is over.
        """
        provider = self.provider
        if not (
            provider.settings.dismantle and all(map(_safe, job.artifacts)) and provider.is_of(job.receipt) is not False
        ):
            return {}
        try:
            await provider.call("DELETE", _path(job))
        except (PermanentError, Unauthorized):  # done before, by a worker that died then? The list tells.
            ours = (job.receipt or {})["remote_id"]
            for line in _listed(await provider.call("GET", "/api/tokens")):
                if line.get("id") == ours and part(line, "attributes").get("status") != "deleted":
                    raise
        return {"dismantled": True}

    async def observe(self, job: Job) -> Observation:
        """The line's record at the milestone we wait for; before it, whatever the service answers (contract 6.4)."""
        path, intent = _path(job), job.intent or {}
        try:
            # The analysis has no milestone of its own on any page: it shows in the current state (contract 7).
            if self.provider.settings.poll_at == "milestone" and not _analysed(intent):
                try:
                    body = await self.provider.call(
                        "GET", f"{path}/{'finished' if intent.get('snapshot') else 'ended'}"
                    )
                except PermanentError:  # before the milestone an error is as likely as a record (contract 10.3)
                    body = await self.provider.call("GET", path)
            else:
                body = await self.provider.call("GET", path)
        except PermanentError as error:
            if self.provider.is_of(job.receipt) is False:
                raise NotFound(f"{error}; the line belongs to an earlier session, which is over") from None
            raise
        return self._read(body, job)

    def _read(self, body: Mapping[str, Any], job: Job) -> Observation:
        intent, attributes, links = job.intent or {}, part(body, "data", "attributes"), part(body, "links")
        word, progress = attributes.get("status"), attributes.get("progress")
        verdict, known = WORDS.verdict(word)
        message = "the line was dismantled" if verdict is Verdict.FAILED else None
        payer = part(body, "data", "relationships", "payment", "data").get("ident")
        if verdict is not Verdict.RUNNING and isinstance(payer, str) and payer != intent.get("ident"):
            # Parts of a line may share its id, and milestones are frozen (contract 6.4, 10.15).
            verdict, message = Verdict.RUNNING, "the record is still that of another part"
        # A missing link means "not available yet", but a used-up line never gets a snapshot (contract 11).
        partial = attributes.get("partial")
        to_come = intent.get("snapshot") and (partial is True or (partial is not False and word == "ended"))
        needed = ["data"] + (["snapshot"] if to_come else []) + (["analysis", "score"] if _analysed(intent) else [])
        if verdict is Verdict.SUCCEEDED and not all(link(links, key) for key in needed):
            verdict = Verdict.RUNNING
        succeeded = verdict is Verdict.SUCCEEDED
        return Observation(
            verdict,
            word=word if isinstance(word, str) else None,
            known=known,
            progress=progress if type(progress) is int and 0 <= progress <= 100 else None,
            message=message,
            result=_result(attributes, intent) if succeeded else {},
            artifacts=tuple(self._files(body, job)) if succeeded else (),
        )

    def _files(self, body: Mapping[str, Any], job: Job) -> list[Artifact]:
        intent, links = job.intent or {}, part(body, "links")
        size, packed = whole(part(body, "data", "attributes").get("size")), intent.get("format") == "gz"
        address = str(links["data"])
        if packed:
            address += ("&" if "?" in address else "?") + "format=gz"
        plain_only = not packed and self.provider.settings.hashes_of == "gz"
        name = "tokens.txt.gz" if packed else "tokens.txt"
        files = [
            _file(body, "data", name, address, lines=size, packed=packed, distinct=True, no_digest=plain_only),
        ]
        if intent.get("snapshot") and (found := link(links, "snapshot")):
            files.append(_file(body, "snapshot", SNAPSHOT, found))
        if _analysed(intent):
            files.append(_file(body, "score", "score.csv", str(links["score"]), lines=size))
            files.append(_file(body, "delta", "delta.csv", link(links, "delta") or f"{_path(job)}/delta"))
            # The document quotes the lengths and digests of all files: none of them can be its own (contract 6.8).
            files.append(Artifact(ANALYSIS, link=str(links["analysis"])))
        return files

    @asynccontextmanager
    async def download(self, job: Job, artifact: Artifact) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a file. Its content type says JSON whatever it holds (contract 1), so only the content tells."""
        session = await self.provider.session()
        async with AsyncExitStack() as stack:
            opened = self.provider.http.download(artifact.link or "", headers={"Session-Key": session})
            try:
                chunks = await stack.enter_async_context(opened)
                head, complete = await head_of(chunks)
                if artifact.name == ANALYSIS:
                    check(Answer(200, {}, head))  # cut off, or longer than any, it would not be JSON
                elif complete:
                    no_errors(head)
            except Unauthorized as refused:
                raise await self.provider.refusal(session, refused) from None
            yield joined(head, chunks)


def _path(job: Job) -> str:
    return f"/api/tokens/{segment((job.receipt or {})['remote_id'])}"


def _listed(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = body.get("data")
    return [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []


def _analysed(intent: Mapping[str, Any]) -> bool:
    return str(intent.get("analysis", "none")) != "none"


def _safe(artifact: Artifact) -> bool:
    """Whether a stored file was checked by anything that was promised of it; the analysis brings no promise."""
    checked = artifact.verification is not Verification.PENDING
    return checked and (artifact.rule is not None or artifact.size is not None or artifact.name == ANALYSIS)


def _result(attributes: Mapping[str, Any], intent: Mapping[str, Any]) -> dict[str, Any]:
    size = whole(attributes.get("size"))
    result = {
        "size": size,
        "scaled_down": size is not None and size < int(intent["size"]),
        "digits": int(intent["digits"]),
        "alphabet": intent["alphabet"],
        "partial": attributes.get("partial") is True,
        "available": id_text(attributes.get("available")),  # strings: they can exceed 64 bits by far
        "reachable": id_text(attributes.get("reachable")),
        "dismantled": False,
    }
    return {**result, "former": intent["former"]} if "former" in intent else result


def _file(
    body: Mapping[str, Any],
    key: str,
    name: str,
    address: str,
    *,
    lines: int | None = None,
    packed: bool = False,
    distinct: bool = False,
    no_digest: bool = False,
) -> Artifact:
    attributes = part(body, "data", "attributes")
    digest, seed = part(attributes, "filehashes").get(key), part(body, "meta").get("seed")
    return Artifact(
        name=name,
        link=address,
        size=whole(part(attributes, "filesizes").get(key)),
        lines=lines,
        sha256=digest if isinstance(digest, str) and digest and not no_digest else None,
        seed=seed if isinstance(seed, str) else None,
        packed=packed,
        distinct=distinct,
    )
