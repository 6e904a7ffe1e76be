"""Notifications that follow Standard Webhooks (https://www.standardwebhooks.com): signed, with a time stamp."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr

from providers.notification import NotGenuine, Notification, Unreadable
from providers.settings import ProviderSettings

#: A secret of the scheme has so many bytes, says the specification.
_SECRET_BYTES = range(24, 65)
_PREFIX = "whsec_"
#: Signatures of one notification that are looked at: a sender that changes its secret sends two.
_SIGNATURES = 8


def _keys(secret: SecretStr) -> list[bytes]:
    """The keys in a setting.

    Raises:
        ValueError: one is none.
    """
    keys = []
    for text in secret.get_secret_value().split():
        try:
            keys.append(base64.b64decode(text.removeprefix(_PREFIX), validate=True))
        except binascii.Error:
            raise ValueError(f"use {_PREFIX} and base64, as the provider shows it") from None
        if len(keys[-1]) not in _SECRET_BYTES:
            raise ValueError(f"use {_SECRET_BYTES[0]} to {_SECRET_BYTES[-1]} bytes in base64, as the provider shows it")
    return keys


def _checked(secret: SecretStr) -> SecretStr:
    if not _keys(secret):
        raise ValueError("is empty; leave it out to take no notification")
    return secret


class WebhookSettings(ProviderSettings):
    """The settings of a provider whose notifications follow Standard Webhooks. Times in seconds."""

    webhook_secret: Annotated[SecretStr, AfterValidator(_checked)] | None = Field(
        None, description="whsec_…, two with a space between while it is changed; without it nothing is taken"
    )
    webhook_tolerance: float = Field(300.0, gt=0, description="a notification may be so old, or so early, seconds")


class StandardWebhook(Notification):
    """A notification of this scheme: HMAC-SHA256 over id, time stamp and body.

    Args:
        job: the path in the JSON body to our id of the job, names with dots between, if the provider knows it.
        remote: the path to the provider's own name of the job, if it does not.
    """

    _ID, _TIME, _SIGNED = "webhook-id", "webhook-timestamp", "webhook-signature"
    _VERSION: ClassVar[str] = "v1,"

    def __init__(self, *, job: str = "", remote: str = "") -> None:
        if bool(job) == bool(remote):
            raise ValueError("StandardWebhook: give the path of either job or remote")
        self.by_remote_id = bool(remote)
        self._path = (job or remote).split(".")

    def ready(self, settings: WebhookSettings) -> bool:
        """Whether there is a secret."""
        return settings.webhook_secret is not None

    def verify(self, settings: WebhookSettings, headers: Mapping[str, str], body: bytes, now: float) -> tuple[str, ...]:
        """The job that a notification is about.

        Raises:
            NotGenuine: no signature is right, or its time is not now.
            Unreadable: it names no job.
        """
        given = {name.lower(): value for name, value in headers.items()}
        message_id, stamp = given.get(self._ID, ""), given.get(self._TIME, "")
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):
            raise NotGenuine("no time stamp")
        signed = f"{message_id}.{stamp}.".encode("utf-8", "surrogateescape") + body
        secret = settings.webhook_secret
        wanted = [hmac.new(key, signed, hashlib.sha256).digest() for key in (_keys(secret) if secret else ())]
        if not any(hmac.compare_digest(own, each) for own in wanted for each in self._signatures(given)):
            raise NotGenuine("no signature is right")
        if abs(now - int(stamp)) > settings.webhook_tolerance:
            raise NotGenuine("not sent now: it is repeated, or a clock is wrong")
        return (self._job(body),)

    def _signatures(self, given: Mapping[str, str]) -> list[bytes]:
        found = []
        for text in given.get(self._SIGNED, "").split(" ")[:_SIGNATURES]:
            if text.startswith(self._VERSION):
                try:
                    found.append(base64.b64decode(text.removeprefix(self._VERSION), validate=True))
                except ValueError:  # no base64, or not even ASCII
                    continue
        return found

    def _job(self, body: bytes) -> str:
        try:
            value = json.loads(body)
            for name in self._path:
                value = value[name]
        except (ValueError, LookupError, TypeError, RecursionError):
            value = None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not 0 < len(value) <= 500:
            raise Unreadable(f"{'.'.join(self._path)}: names no job")
        return value
