"""Faults that can be injected into any operation: a number of times or until cleared."""

import itertools
from collections.abc import Iterable
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

FaultKind = Literal[
    "latency",
    "429",
    "500",
    "503",
    "401",
    "reset",
    "reset_after",
    "cut_body",
    "slow_body",
    "rubbish",
    "proxy",
    "wrong_digest",
    "unknown_word",
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

Service = Literal["commonsdb", "myipr", "unique_tokens", "lettrlabs", "tsa"]

# These go together with any other fault; of all others a request meets only the first.
_ADDITIVE = frozenset({"latency", "wrong_digest", "unknown_word"})

# Kinds that have a meaning only where something of that sort is published.
ONLY_ON: dict[str, dict[str, frozenset[str]]] = {
    "wrong_digest": {
        "commonsdb": frozenset({"declare"}),
        "myipr": frozenset({"get_version"}),
        "unique_tokens": frozenset({"get_tokens", "get_milestone"}),
    },
    "unknown_word": {
        "commonsdb": frozenset({"status"}),
        "myipr": frozenset({"get_version"}),
        "unique_tokens": frozenset({"get_tokens", "get_milestone"}),
        "lettrlabs": frozenset({"conversion_status"}),
    },
}


class Fault(BaseModel):
    """One fault, the requests it meets, and how often.

    Kinds that keep the request from being processed: `401`, `429`, `500`, `503`, `reset` (aborted connection).
    Kinds that spoil the answer of a processed request: `reset_after` (aborted connection instead of it),
    `cut_body` (announced longer than it is, then aborted), `slow_body`, `rubbish` (200 with invalid JSON),
    `wrong_digest`, `unknown_word` (an undocumented status word). `latency` delays the processing. `proxy` is the HTML
    page of something in between, with any `status`: it passes the request on, or with `passes_on=False` it does not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Service
    kind: FaultKind
    operation: str | None = Field(None, description="only this operation; None: all of the provider")
    reference: str | None = Field(None, description="only jobs with this caller reference")
    times: int | None = Field(None, ge=1, description="how many requests it meets; None: until cleared")
    seconds: float = Field(1.0, ge=0, description="real seconds of latency, or over which a body is spread")
    retry_after: int | str | None = Field(1, description="Retry-After of 429 and 503: seconds or HTTP date")
    status: int = Field(503, ge=300, le=599, description="the HTTP status of proxy")
    passes_on: bool = Field(True, description="whether proxy lets the provider process the request before it answers")
    word: str = Field("recalibrating", description="the status word of unknown_word")

    @model_validator(mode="after")
    def _has_a_meaning(self) -> "Fault":
        places = ONLY_ON.get(self.kind)
        if places is None:
            return self
        operations = places.get(self.provider)
        if operations is None:
            message = f"kind {self.kind} has no meaning for provider {self.provider}"
            raise ValueError(message)
        if self.operation is not None and self.operation not in operations:
            message = f"kind {self.kind} has a meaning only for operations {sorted(operations)}"
            raise ValueError(message)
        return self

    def meets(self, operation: str, names: Iterable[str]) -> bool:
        """Tell whether this fault is for a request of `operation` about a job with these `names`."""
        if self.operation is not None and self.operation != operation:
            return False
        places = ONLY_ON.get(self.kind)
        if places is not None and operation not in places[self.provider]:
            return False
        return self.reference is None or self.reference in names


class _Loaded:
    __slots__ = ("fault", "left")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times


class Faults:
    """The faults that are loaded at the moment, by number."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._loaded: dict[int, _Loaded] = {}

    def add(self, fault: Fault) -> int:
        """Load a fault and give its number."""
        number = next(self._numbers)
        self._loaded[number] = _Loaded(fault)
        return number

    def clear(self, provider: str | None = None, number: int | None = None) -> int:
        """Unload the fault with this number, or those of a provider, or all; give how many there were."""
        gone = [
            key
            for key, loaded in self._loaded.items()
            if number in (None, key) and provider in (None, loaded.fault.provider)
        ]
        for key in gone:
            del self._loaded[key]
        return len(gone)

    def listed(self) -> dict[int, Fault]:
        """Give the loaded faults, `times` reduced to what is left."""
        return {
            number: loaded.fault.model_copy(update={"times": loaded.left}) for number, loaded in self._loaded.items()
        }

    def take(self, provider: str, operation: str, names: Iterable[str]) -> tuple[Fault, ...]:
        """Take the faults that meet a request: all additive ones and the first of the others."""
        if not self._loaded:
            return ()
        taken: list[Fault] = []
        exclusive = False
        for number, loaded in list(self._loaded.items()):
            fault = loaded.fault
            if fault.provider != provider or not fault.meets(operation, names):
                continue
            if fault.kind not in _ADDITIVE:
                if exclusive:
                    continue
                exclusive = True
            taken.append(fault)
            if loaded.left is not None:
                loaded.left -= 1
                if loaded.left == 0:
                    del self._loaded[number]
        return tuple(taken)
