"""The session of Unique Tokens: opened with the Api-Key, shared by all workers, reopened when over (contract 3)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from jobs.ledger import Ledger
from providers.answer import Answer
from providers.base import Provider, id_text
from providers.errors import BadAnswer, Deferred, NotSent, ProviderError, Refused, Unauthorized
from providers.http import segment
from providers.unique_tokens.documents import MEDIA_TYPE, check, part

#: A session is taken for the one in force for so long before the note about it is read again, seconds.
_FRESH = 1.0

Parts = Mapping[str, tuple[str, bytes, str]]


def fingerprint(session: str) -> str:
    """What tells one session from another, and opens none: a Session-Key is a secret."""
    return hashlib.sha256(session.encode()).hexdigest()[:12]


class SessionProvider(Provider):
    """Makes calls within the session."""

    name: ClassVar[str] = "unique_tokens"

    def __init__(self, settings: Any, notes: Ledger) -> None:
        super().__init__(settings, notes)
        self._opening = asyncio.Lock()
        self._held: tuple[str, float] | None = None  # the session, as it was noted at that time of the event loop

    def own_error(self, answer: Answer) -> bool:
        """The presence of `errors` decides, in whatever shape (contract 8)."""
        return bool(answer.error_body().get("errors"))

    def headers(self) -> dict[str, str]:
        """Both media types, also on calls without a body (contract 1). The keys differ per call."""
        return {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}

    async def session(self) -> str:
        """The Session-Key that all workers share; opens a session if there is none.

        Raises:
            ProviderError: none could be opened; `Unauthorized` if the Api-Key is not accepted.
        """
        now = asyncio.get_running_loop().time()
        if self._held and now - self._held[1] < _FRESH:
            return self._held[0]
        async with self._opening:  # a bundle of jobs opens one session, not one each
            held = self.notes.recall(self.name, "session")
            if held:
                self._held = held, now
                return held
            body = {"data": {"type": "session", "attributes": {}}}
            opened = check(await self.http.call("POST", "/api/sessions", json=body, headers={"Api-Key": self.key}))
            ours = id_text(part(opened, "data").get("id"))
            if ours is None:
                raise BadAnswer("the answer names no session")
            session = self.notes.remember(self.name, "session", ours)
        if session != ours:  # another worker was quicker
            keys = {"Api-Key": self.key, "Session-Key": ours}
            with suppress(ProviderError):
                await self.http.call("DELETE", f"/api/sessions/{segment(ours)}", headers=keys)
        return session

    def is_of(self, receipt: Mapping[str, Any] | None) -> bool | None:
        """Whether a line belongs to the session in force; none if one of the two is not known."""
        held, noted = self.notes.recall(self.name, "session"), (receipt or {}).get("session")
        return noted == fingerprint(held) if held and noted else None

    async def call(
        self, method: str, path: str, *, json: Any = None, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Make one call within the session, and judge its answer.

        Raises:
            Deferred: the session is not accepted any more; the next try opens another.
            ProviderError: as `ProviderClient.call` and `Answer.check`.
        """
        body, _ = await self.exchange(method, path, json=json, params=params)
        return body

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        files: Parts | None = None,
        within: str | None = None,
        submits: bool = False,
    ) -> tuple[dict[str, Any], str]:
        """As `call`; also tells the fingerprint of the session in which it was made, and sends multipart bodies.

        Raises:
            NotSent: the session is not the one whose fingerprint is `within`.
        """
        session = await self.session()
        if within is not None and within != fingerprint(session):
            raise NotSent("the session was replaced in between", retry_after=1.0)
        headers = {"Session-Key": session}
        if files is not None:
            headers["Accept"] = "*/*"  # the page of the next part lists the Session-Key alone (contract 6.2)
        try:
            answer = await self.http.call(
                method, path, json=json, params=params, headers=headers, files=files, submits=submits
            )
            return check(answer), fingerprint(session)
        except Unauthorized as refused:
            raise await self.refusal(session, refused, reading=method == "GET") from None

    async def refusal(self, session: str, refused: Unauthorized, *, reading: bool = True) -> ProviderError:
        """What a 401 or 403 within a session means: the codes for a strange line and a dead session may be the same.

        The lines belong to their session, so it is given up only if its own list is refused as well. If it is not, the
        call was refused for what it asks: 403 to an order is about its payment, 401 still about who we are.
        """
        try:
            check(await self.http.call("GET", "/api/tokens", headers={"Session-Key": session}))
        except Unauthorized:
            self._held = None
            self.notes.forget(self.name, "session", session)
            return Deferred(f"the session is not accepted any more ({refused})", retry_after=1.0)
        except ProviderError as error:
            return Deferred(f"{refused}; whether the session is alive could not be asked ({error})")
        if not reading and (refused.status != 403 or self.settings.forbidden == "key"):
            return refused
        return Refused(f"{refused}; the session itself is accepted", status=403)
