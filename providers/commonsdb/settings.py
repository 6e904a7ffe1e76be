"""The settings of CommonsDB. Environment: `SETTLE_COMMONSDB__<FIELD>`. Times in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import AnyHttpUrl, Field, SecretStr, model_validator

from providers.commonsdb.requests import CONTEXT, DID, SCHEMA
from providers.settings import HttpErrorStatus, ProviderSettings

_W3ID = "https://w3id.org/commonsdb"


class CommonsDBSettings(ProviderSettings):
    """CommonsDB asks to be polled every 2 to 5 s (seed page); its own stale rule ends after about 75 min (3.4)."""

    poll_maximum: float = Field(5.0, gt=0, description="longest countdown, seconds")
    deadline: float = Field(90 * 60.0, gt=0, description="from the trigger; after it a job is expired, seconds")
    absent_after: float = Field(
        300.0, gt=60, description="no record so long after the signature means that it never arrived, seconds"
    )
    repeatable_statuses: tuple[HttpErrorStatus, ...] = Field(
        (429,), description="the gateway documents 429 as turned away (contract 3.5, 6), as a JSON list"
    )
    signing_key: SecretStr | None = Field(None, description="the private P-256 key, as PEM or JWK")
    signing_key_file: Path | None = Field(None, description="a file that holds it instead")
    declarer_id: str | None = Field(None, pattern=DID, description="the DID behind the API key")
    credentials_file: Path | None = Field(None, description="JSON: the supplier's verifiable credential, or a list")
    schema_url: str = Field(f"{_W3ID}/schema/0.2.0.json", pattern=SCHEMA, description="`$schema` unless given")
    context_url: str = Field(f"{_W3ID}/context/0.2.0.json", pattern=CONTEXT, description="`@context` unless given")
    tsa_url: AnyHttpUrl = Field(AnyHttpUrl("https://freetsa.org/tsr"), description="the RFC 3161 authority")
    tsa_hash: Literal["sha256", "sha512"] = Field("sha512", description="what the authority stamps")
    tsa_in_flight: int = Field(3, ge=1, description="declarations being stamped, for all workers together")
    stamp_within: float = Field(
        10.0, gt=0, le=40, description="a declaration that is not stamped in time waits and is made anew, seconds"
    )
    confirm_by: tuple[Literal["metadata", "search"], ...] = Field(
        ("metadata", "search"), description="who must show a processed declaration before the job succeeds"
    )
    confirm_within: float = Field(
        60.0, ge=0, description="after it the job succeeds as processed, but not confirmed, seconds"
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.signing_key is not None and self.signing_key_file is not None:
            raise ValueError("set signing_key or signing_key_file, not both")
        return self

    @property
    def signs(self) -> bool:
        """Whether Settle can sign by itself."""
        return self.signing_key is not None or self.signing_key_file is not None

    @property
    def longest_submission(self) -> float:
        """With the time stamps before the POST."""
        return super().longest_submission + (self.stamp_within if self.signs else 0.0)
