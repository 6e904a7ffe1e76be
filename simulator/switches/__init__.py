"""Switches: every choice that the contracts leave open, named, typed and changeable while the server runs."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from simulator.plans import Provider
from simulator.switches.base import Switches
from simulator.switches.commonsdb import CommonsDBSwitches
from simulator.switches.lettrlabs import LettrLabsSwitches
from simulator.switches.myipr import MyIPRSwitches
from simulator.switches.unique_tokens import UniqueTokensSwitches

__all__ = [
    "AllSwitches",
    "CommonsDBSwitches",
    "LettrLabsSwitches",
    "MyIPRSwitches",
    "SwitchBoard",
    "SwitchError",
    "Switches",
    "UniqueTokensSwitches",
    "all_switches",
]


class SwitchError(ValueError):
    """A switch has an unknown name or a value that it cannot have; the message names the field."""


class AllSwitches(BaseModel):
    """The switches of all providers, as a settings file for the start holds them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    commonsdb: CommonsDBSwitches = CommonsDBSwitches()
    myipr: MyIPRSwitches = MyIPRSwitches()
    unique_tokens: UniqueTokensSwitches = UniqueTokensSwitches()
    lettrlabs: LettrLabsSwitches = LettrLabsSwitches()


def all_switches(values: AllSwitches | Mapping[str, Any] | None) -> AllSwitches:
    """Read the switches of all providers from plain values; raises `SwitchError`."""
    if isinstance(values, AllSwitches):
        return values
    try:
        return AllSwitches.model_validate(values or {})
    except ValidationError as error:
        raise SwitchError(_explain(error)) from error


class SwitchBoard:
    """The switches as they are now. Handlers read the attributes anew for each request."""

    def __init__(self, start: AllSwitches) -> None:
        self._start = start
        self.reset()

    def reset(self) -> None:
        """Go back to the switches of the start."""
        self.commonsdb = self._start.commonsdb
        self.myipr = self._start.myipr
        self.unique_tokens = self._start.unique_tokens
        self.lettrlabs = self._start.lettrlabs

    def of(self, provider: Provider) -> Switches:
        """Give the switches of one provider."""
        switches: Switches = getattr(self, provider)
        return switches

    def change(self, provider: Provider, changes: Mapping[str, Any]) -> Switches:
        """Change some switches of one provider; raises `SwitchError` and then changes nothing."""
        current = self.of(provider)
        try:
            changed = type(current).model_validate({**current.model_dump(), **changes})
        except ValidationError as error:
            raise SwitchError(_explain(error, provider)) from error
        setattr(self, provider, changed)
        return changed


def _explain(error: ValidationError, *prefix: str) -> str:
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in (*prefix, *item["loc"]))
        known = "unknown switch" if item["type"] == "extra_forbidden" else item["msg"]
        problems.append(f"{field}: {known}")
    return "; ".join(problems)
