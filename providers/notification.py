"""What a provider tells us by itself: it is verified, and brings the next poll forward. It decides nothing.

A provider module declares it in one line, `notification = StandardWebhook(job="data.reference")`, see
`providers/standard_webhooks.py`. Flower has the door for it, `POST /hooks/<provider>`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from jobs.errors import SettleError


class NotGenuine(SettleError):
    """A notification that is not the provider's, or was sent too long ago; the message quotes nothing of it."""


class Unreadable(SettleError):
    """A notification that is the provider's, but does not name a job where it should."""


class Notification(ABC):
    """A provider's notification, as its module declares it."""

    #: Whether it names jobs by the provider's own names (`remote_id` of the receipt) instead of ours.
    by_remote_id: bool = False

    @abstractmethod
    def ready(self, settings: Any) -> bool:
        """Whether the settings hold what is needed to verify one; else there is no door for it."""

    @abstractmethod
    def verify(self, settings: Any, headers: Mapping[str, str], body: bytes, now: float) -> tuple[str, ...]:
        """The jobs that a notification is about: their ids, or the provider's names for them if `by_remote_id`.

        Args:
            settings: of the provider.
            headers: of the request; names in any case.
            body: of the request, as it came.
            now: the machine's time, seconds since the epoch.

        Raises:
            NotGenuine: the provider did not send it, or not now.
            Unreadable: it did, and it names no job.
        """
