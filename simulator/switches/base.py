"""What the switches of all providers share."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Switches(BaseModel):
    """Choices where a contract leaves a point open; an unknown name or a wrong value is refused.

    Rate limits are open with all four (commonsdb 7.3, lettrlabs 11.16; nothing at all found for the others).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate_limit: int | None = Field(
        None, ge=1, description="7.3 (lettrlabs 11.16): requests in a window, the others get 429; None: no limit"
    )
    rate_window_seconds: float = Field(
        60, gt=0, description="7.3 (lettrlabs 11.16): length of that window, simulated seconds"
    )
    retry_after_form: Literal["seconds", "date", "absent"] = Field(
        "seconds", description="7.3 (lettrlabs 11.16): Retry-After of such a 429: seconds, an HTTP date, or none"
    )
