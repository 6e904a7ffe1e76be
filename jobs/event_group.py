"""A consumer group of Redis reads a provider's events: each at least once, and those of one job in order.

Two consumers of one group would get the events of one job at the same time. So a group has one reader per stream, which
holds a lease; others stand by, and one of them goes on where it stopped when the lease is over. Lease and reading are
one script: whoever lost the lease is given nothing.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis import Redis

from jobs.codec import millis
from jobs.errors import InvalidJob

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a stream; `fields` is none if the stream no longer keeps it."""

    place: str
    fields: Mapping[str, str] | None


class EventGroup:
    """One reader of a consumer group on one stream.

    Args:
        redis: a client with `decode_responses=True`.
        stream: the key of a provider's events.
        name: of the group.
        lease: seconds for which what was read, and not acknowledged, belongs to this reader.
        from_now: whether a group that is not there yet begins with what happens from now on, not with what is kept.

    Raises:
        InvalidJob: the name cannot be that of a group.
    """

    def __init__(self, redis: Redis, stream: str, name: str, *, lease: float, from_now: bool = False) -> None:
        if not _NAME.fullmatch(name):
            raise InvalidJob("group: use 1 to 64 letters, digits, dots, hyphens and underscores")
        made: Any = redis
        self._read, self._done = (
            made.register_script((files("jobs") / "lua" / f"group_{what}.lua").read_text()) for what in ("read", "done")
        )
        self._keys = [stream, f"{stream}:reader:{name}"]
        self._name, self._reader = name, uuid.uuid4().hex
        self._lease, self._first = millis(lease), "$" if from_now else "0"

    def read(self, count: int) -> list[Entry] | None:
        """The next entries; none at all (`None`) while somebody else reads.

        Args:
            count: so many at most.
        """
        found = self._read(keys=self._keys, args=[self._name, self._reader, self._lease, count, self._first])
        if isinstance(found, int):
            return None
        return [Entry(place, _pairs(flat) if flat else None) for place, flat in found]

    def done(self, place: str = "") -> bool:
        """The entry was handled. Whether this reader may go on with the next: its lease begins anew."""
        return bool(self._done(keys=self._keys, args=[self._name, self._reader, self._lease, place]))

    def leave(self) -> None:
        """Let somebody else go on at once."""
        self._done(keys=self._keys, args=[self._name, self._reader, "", ""])


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
