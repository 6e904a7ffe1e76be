"""What the switches of all providers share."""

from pydantic import BaseModel, ConfigDict


class Switches(BaseModel):
    """Choices where a contract leaves a point open; an unknown name or a wrong value is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
