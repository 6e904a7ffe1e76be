"""What LettrLabs' answers say in whatever form (contract lettrlabs 3 and 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from providers.answer import Answer
from providers.base import Verdict
from providers.errors import BadAnswer, PermanentError, ProviderError, Refused

_OWN_FIELDS = frozenset({"hasErrors", "errors", "errorDetails", "reasonCode"})


def envelope_of(answer: Answer) -> dict[str, Any]:
    """The envelope of a success. HTTP 200 is not success yet: `hasErrors` is the caller's to read."""
    answer.check()  # no field names: the texts are free and may hold personal data
    return answer.object()


def is_own_error(answer: Answer) -> bool:
    """Whether an error answer is the envelope, the frame of orders, or a list of items with a `reasonCode`."""
    try:
        body = answer.json()
    except BadAnswer:
        return False
    if isinstance(body, dict):
        return not body.keys().isdisjoint(_OWN_FIELDS)
    items = body if isinstance(body, list) else []
    return bool(items) and all(isinstance(item, dict) and "reasonCode" in item for item in items)


def number_of_errors(envelope: Mapping[str, Any]) -> int:
    """How many errors an answer tells of, in whatever form (contract 3)."""
    texts = envelope.get("errors") or envelope.get("errorDetails")
    flag = envelope.get("hasErrors")
    flagged = flag.strip().lower() not in ("", "false", "0", "no") if isinstance(flag, str) else bool(flag)
    number = len(texts) if isinstance(texts, list | dict) else int(bool(texts))
    return max(number, int(flagged))


def withheld(number: int) -> str:
    """What is told of error texts."""
    return f"{number} error(s); the texts are withheld, they may hold personal data"


def upload_id(value: Any) -> int | None:
    """The id of an upload: a positive integer, perhaps as a string."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def upload_ids(values: Iterable[Any]) -> list[int]:
    """Those of the values that are ids, each once."""
    return list(dict.fromkeys(upload for value in values if (upload := upload_id(value)) is not None))


def uploaded_at(value: Any) -> float:
    """An `uploadDate` as seconds since the epoch; without an offset it is taken for UTC. Unreadable: the epoch."""
    try:
        at = datetime.fromisoformat(str(value))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


class Conversions:
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

    async def ask_deletion(self, upload: int) -> None:
        """`DELETE /v1/conversions/{id}`; the status may not allow it (contract 6). Errors under HTTP 200 count, too.

        A refusal may be that of a repeat, of which the transport below makes one by itself: then it is on its way.

        Raises:
            PermanentError: it was refused.
        """
        answer: Answer = await self.provider.http.call("DELETE", f"/v1/conversions/{upload}")
        try:
            answer.check()
            errors = number_of_errors(answer.object()) if answer.body.strip() else 0
            if errors:
                raise Refused(f"the deletion was refused: {withheld(errors)}", status=answer.status)
        except PermanentError:
            try:
                _, word = await self.status(upload)
            except ProviderError:
                word = None
            if not self.on_its_way(word):
                raise

    def on_its_way(self, word: str | None) -> bool:
        """Whether a status word says that the upload is being deleted, or is."""
        verdict, known = self.provider.deletion_words.verdict(word)
        return bool(known and verdict is not Verdict.FAILED)
