"""LettrLabs: conversion uploads and their deletion (contract lettrlabs).

No status word is documented, nor where a POST tells the id: both are settings. Every answer carries personal data
(`profile`) and error texts are free, so neither ever leaves these modules.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from providers.answer import Answer
from providers.base import Probe, Provider, Words
from providers.lettrlabs.answers import is_own_error
from providers.lettrlabs.convert import Convert
from providers.lettrlabs.delete import Delete
from providers.lettrlabs.posts import Posts
from providers.lettrlabs.probe import probe
from providers.lettrlabs.uploads import Uploads
from providers.settings import ProviderSettings


class LettrLabsSettings(ProviderSettings):
    """The words are plausible, not documented; letter case is ignored."""

    poll_maximum: float = Field(30.0, gt=0, description="longest countdown, seconds")
    words_running: tuple[str, ...] = ("pending", "queued", "uploaded", "processing", "in progress", "validating")
    words_succeeded: tuple[str, ...] = ("completed", "complete", "processed", "succeeded", "success")
    words_failed: tuple[str, ...] = ("failed", "error", "rejected", "cancelled")
    words_deleting: tuple[str, ...] = ("deleting", "deletion pending", "pendingdeletion", "markedfordeletion")
    words_deleted: tuple[str, ...] = ("deleted",)
    words_undeleted: tuple[str, ...] = Field(
        ("deletion failed", "deletionfailed"), description="words of a deletion that was given up"
    )
    id_from: tuple[Literal["payload", "metadata", "list"], ...] = Field(
        ("payload", "metadata", "list"), description="where the id of an upload is looked for, in this order"
    )
    id_field: str = Field("id", description="its name in payload and metadata")
    uploads_per: Literal["post", "record"] = Field("post", description="what makes an upload, when the list is asked")
    revenue_as: Literal["number", "string"] = Field("number", description="how revenue is written")
    order_id_protects: bool = Field(
        True,
        description="a record whose orderId is known already is not processed again; without it nothing is repeated",
    )

    @model_validator(mode="after")
    def _one_meaning_each(self) -> Self:
        meanings: dict[str, str] = {}
        for field in ("running", "succeeded", "failed", "deleting", "deleted", "undeleted"):
            for word in getattr(self, f"words_{field}"):
                other = meanings.setdefault(word.casefold().strip(), field)
                if other != field:
                    raise ValueError(f"{word!r} is in words_{other} and in words_{field}: leave it in one of them")
        return self


class LettrLabs(Provider):
    """The conversions group of the LettrLabs API."""

    name: ClassVar[str] = "lettrlabs"
    settings_type = LettrLabsSettings
    operations = (Convert, Delete)

    def __init__(self, settings: LettrLabsSettings, notes: Any) -> None:
        super().__init__(settings, notes)
        self.words = Words(
            succeeded=settings.words_succeeded,
            failed=settings.words_failed,
            running=settings.words_running,
            fold=True,
        )
        self.posts = Posts(self)
        self.uploads = Uploads(self, self.posts)
        self.deletion_words = Words(
            succeeded=settings.words_deleted,
            failed=settings.words_undeleted,
            running=settings.words_deleting,
            fold=True,
        )

    def own_error(self, answer: Answer) -> bool:
        """The envelope or a list of reason codes; a refused key has many forms, but is never a page (contract 3, 9)."""
        if answer.status in (401, 403):
            return not answer.body.lstrip().startswith(b"<")
        return is_own_error(answer)

    def headers(self) -> dict[str, str]:
        """The key; it opens the whole account."""
        return {"X-API-KEY": self.key, "Accept": "application/json"}

    async def probe(self) -> list[Probe]:
        """Ask for the profile, the list, the newest upload and an unknown one; see `settle doctor --provider`."""
        return await probe(self)


PROVIDER = LettrLabs
