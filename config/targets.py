"""Who is told of events: the settings of webhooks (`SETTLE_WEBHOOKS__<NAME>__…`) and of downstream tasks."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, FilePath, HttpUrl, SecretStr, field_validator, model_validator

from jobs.names import QueueName, TaskName
from jobs.states import TERMINAL, JobState

if TYPE_CHECKING:  # only its type is needed, and every process reads the settings
    from jobs.events import JobEvent

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
#: What the specification wants of a secret, bytes.
_SHORTEST, _LONGEST = 24, 64


class Target(BaseModel):
    """What every target has: which events it wants, and for how long it is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    providers: tuple[str, ...] = Field((), description="of these providers only; of all if empty")
    states: tuple[JobState, ...] = Field(
        tuple(sorted(TERMINAL)), min_length=1, description="moves to these states only; the final ones by default"
    )
    in_flight: int = Field(8, ge=1, le=1000, description="deliveries at a time, of different jobs")
    retry_first: float = Field(5.0, gt=0, description="the wait after the first failure; each further one is 3 times")
    retry_longest: float = Field(4 * 3600.0, gt=0, description="no wait is longer")
    retry_for: float = Field(86400.0, ge=0, description="all waits together; then the delivery is given up")

    def wants(self, event: JobEvent) -> bool:
        """Whether it is told of this event; never of news without a change of state."""
        right = not self.providers or event.provider in self.providers
        return right and event.target in self.states and event.source is not event.target


class WebhookSettings(Target):
    """One endpoint. Environment: `SETTLE_WEBHOOKS__<NAME>__<FIELD>`."""

    url: HttpUrl = Field(repr=False, description="where events are posted to")
    secrets: SecretStr = Field(description="whsec_…; several, separated by spaces, while one is being replaced")
    allow_http: bool = Field(False, description="also without TLS")
    allow_private: bool = Field(False, description="also to an address that is not public")
    ca_file: FilePath | None = Field(None, description="PEM: who may sign its certificate, beside the public ones")
    timeout: float = Field(15.0, gt=0, le=300, description="for one try, from the look-up of its name to its answer")

    @field_validator("secrets")
    @classmethod
    def _sound(cls, value: SecretStr) -> SecretStr:
        secrets = value.get_secret_value().split()
        if not secrets or not all(map(_long_enough, secrets)):
            raise ValueError(
                f"each must be whsec_ and the base64 of {_SHORTEST} to {_LONGEST} random bytes, as "
                '`echo "whsec_$(openssl rand -base64 32)"` makes it; separate several by spaces'
            )
        return value

    @model_validator(mode="after")
    def _plain(self) -> Self:
        if self.url.scheme == "http" and not self.allow_http:
            raise ValueError("url: use https://, or set ALLOW_HTTP=true for this endpoint")
        if self.url.username or self.url.password:
            raise ValueError("url: leave user and password out; the signature shows who is calling")
        return self

    def keys(self) -> list[str]:
        """The secrets that sign, all of them."""
        return self.secrets.get_secret_value().split()


class DownstreamSettings(Target):
    """One Celery task of another application. Environment: `SETTLE_DOWNSTREAM__<NAME>__<FIELD>`."""

    task: TaskName = Field(description="its name")
    queue: QueueName = Field(description="where its workers take it from")


def _long_enough(secret: str) -> bool:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
    except binascii.Error:
        return False
    return secret.startswith("whsec_") and _SHORTEST <= len(key) <= _LONGEST


def check(webhooks: Mapping[str, Target], downstream: Mapping[str, Target], providers: Mapping[str, object]) -> None:
    """Refuse names and providers that cannot be.

    Raises:
        ValueError: the sentence names the variable.
    """
    for group, targets in (("WEBHOOKS", webhooks), ("DOWNSTREAM", downstream)):
        for name, target in targets.items():
            variable = f"SETTLE_{group}__{name.upper()}"
            if not _NAME.fullmatch(name):
                raise ValueError(f"{variable}: a name is 1 to 40 letters, digits, hyphens and single underscores")
            if unknown := set(target.providers) - set(providers):
                known = ", ".join(sorted(providers))
                raise ValueError(f"{variable}__PROVIDERS: {min(unknown)!r} is not one of {known}")
    if both := set(webhooks) & set(downstream):
        raise ValueError(f"SETTLE_DOWNSTREAM__{min(both).upper()}: a webhook has this name already; choose another")
