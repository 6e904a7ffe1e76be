"""myIPR's categories: found by name, kept for a while in the notes that all workers share.

The list has no page of its own in the documentation (contract 8.12): method and names of fields are settings.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from providers.base import Provider, id_text
from providers.errors import PermanentError, Refused, TransientError, not_sent, scrub
from providers.myipr.answers import results

#: The list is asked for anew after so many seconds, and whenever a name is not in it.
KEPT = 3600.0

_NOTE = "categories"
_SHOWN = 40


def pairs(entries: list[dict[str, Any]], id_field: str, name_field: str) -> list[tuple[str, str]]:
    """Id and name of each category of an answer; entries without them are left out."""
    found = []
    for entry in entries:
        number, name = entry.get(id_field), entry.get(name_field)
        known = str(number) if isinstance(number, int) and not isinstance(number, bool) else id_text(number)
        if known is not None and isinstance(name, str) and name.strip():
            found.append((known, name.strip()))
    return found


def shown(listed: list[tuple[str, str]]) -> str:
    """The names, for people."""
    names = sorted({scrub(name, limit=60) for _, name in listed})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


class Categories:
    """Finds the id of a category.

    Args:
        provider: makes the call.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._asking: asyncio.Task[list[tuple[str, str]]] | None = None

    async def id_of(self, name: str) -> str:
        """The id of the category of this name; letter case and spaces around it are ignored.

        Raises:
            Refused: there is none, or more than one; the known ones are listed.
            TransientError: the list could not be read, so nothing was sent.
            Unauthorized: the key is not accepted.
        """
        kept = self._recall()
        if kept is not None and len(found := _matching(kept, name)) == 1:
            return found[0]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        listed = await asyncio.shield(self._asking)  # the jobs of a bundle ask once together, and wait once together
        found = _matching(listed, name)
        if len(found) == 1:
            return found[0]
        trouble = "there is none of this name" if not found else "there is more than one of this name"
        raise Refused(f"category: {trouble}; give one of these, or category_id: {shown(listed)}", status=400)

    async def _ask(self) -> list[tuple[str, str]]:
        settings = self._provider.settings
        try:
            answer = await self._provider.http.call(settings.categories_method, "/categories")
            listed = pairs(results(answer), settings.categories_id, settings.categories_name)
        except TransientError as error:
            raise not_sent(error, "the categories could not be read") from None
        except PermanentError as error:
            raise Refused(
                f"category: the list of categories is refused ({error}); give category_id, or correct "
                "SETTLE_MYIPR__CATEGORIES_METHOD",
                status=400,
            ) from None
        if not listed:
            raise Refused(
                "category: the list of categories is empty or of an unknown form; give category_id, or correct "
                "SETTLE_MYIPR__CATEGORIES_ID and SETTLE_MYIPR__CATEGORIES_NAME",
                status=400,
            )
        self._remember(listed)
        return listed

    def _recall(self) -> list[tuple[str, str]] | None:
        note = self._provider.notes.recall(self._provider.name, _NOTE)
        if note is None:
            return None
        kept = json.loads(note)
        if not 0 <= self._provider.notes.now() - kept["at"] < KEPT:
            return None
        return [(number, name) for number, name in kept["list"]]

    def _remember(self, listed: list[tuple[str, str]]) -> None:
        notes, name = self._provider.notes, self._provider.name
        if (old := notes.recall(name, _NOTE)) is not None:
            notes.forget(name, _NOTE, old)
        notes.remember(name, _NOTE, json.dumps({"at": notes.now(), "list": listed}))


def _matching(listed: list[tuple[str, str]], name: str) -> list[str]:
    """The ids under a name; the exact spelling goes before any other."""
    wanted = name.strip()
    exact = {number for number, known in listed if known == wanted}
    return sorted(exact or {number for number, known in listed if known.casefold() == wanted.casefold()})
