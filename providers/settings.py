"""What a person configures of every provider; each provider adds fields of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, model_validator

from jobs.policy import PollPolicy

HttpErrorStatus = Annotated[int, Field(ge=400, le=599)]


class ProviderSettings(BaseModel):
    """What every provider needs to know. Environment: `SETTLE_<PROVIDER>__<FIELD>`. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: AnyHttpUrl | None = Field(None, description="where the API's paths begin")
    api_key: SecretStr | None = Field(None, description="the key; sent to the provider's own origin only")
    ca_file: Path | None = Field(None, description="PEM: who may sign its certificate, beside the public authorities")
    connect_timeout: float = Field(5.0, gt=0, description="to get a connection, seconds")
    read_timeout: float = Field(10.0, gt=0, description="between two pieces of an answer, seconds")
    connections: int = Field(100, ge=1, description="open at a time, per worker process")
    poll_first: float = Field(2.0, ge=0, description="from the submission to the first poll, seconds")
    poll_minimum: float = Field(2.0, gt=0, description="shortest countdown, seconds")
    poll_maximum: float = Field(30.0, gt=0, description="longest countdown, seconds")
    poll_learn: bool = Field(True, description="whether looks are planned by how long finished jobs took")
    poll_delay: float | None = Field(
        None, gt=0, description="mean time from a job's end to the look that finds it, when planned, seconds"
    )
    deadline: float = Field(3600.0, gt=0, description="from the trigger; after it a job is expired, seconds")
    rate: float = Field(0.0, ge=0, description="requests per second for all workers together; 0 for no limit")
    in_flight: int = Field(0, ge=0, description="requests in flight for all workers together; 0 for no limit")
    repeatable_statuses: tuple[HttpErrorStatus, ...] = Field(
        (),
        description="HTTP statuses by which the API says that a submission was not carried out, as a JSON list; after "
        "any other without a receipt the job is in doubt",
    )
    download_hosts: tuple[str, ...] = Field((), description="other hosts files may be fetched from, without the key")
    max_artifact_bytes: int = Field(2 * 1024**3, gt=0, description="a larger file is refused, bytes")

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.poll_minimum > self.poll_maximum:
            raise ValueError("poll_minimum must not exceed poll_maximum")
        if self.poll_first >= self.deadline:
            raise ValueError("poll_first must be below deadline, or no job is ever polled")
        return self

    def poll_policy(self) -> PollPolicy:
        """The window in which jobs are polled."""
        return PollPolicy(first=self.poll_first, minimum=self.poll_minimum, maximum=self.poll_maximum)

    @property
    def longest_submission(self) -> float:
        """How long one submission may take, seconds: the lease must be longer."""
        return self.connect_timeout + self.read_timeout

    @property
    def delay_wanted(self) -> float:
        """The mean delay of planned looks, in seconds; if not set, that of looking every 1.5 × `poll_minimum`."""
        return self.poll_delay or 0.75 * self.poll_minimum

    def missing(self, provider: str) -> list[str]:
        """The environment variables without which the provider cannot be called."""
        return [
            f"SETTLE_{provider.upper()}__{name.upper()}"
            for name in ("base_url", "api_key")
            if getattr(self, name) is None
        ]
