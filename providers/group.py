"""Groups: many jobs and one outcome for all. Built in: no remote API, the members' states are read from the ledger.

A group is a job like any other: submitted (its members are recorded, under ids that stay the same), polled (its
progress is how many have ended), and finished when all of them have, each with the chain behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from jobs.ledger import Glance, Ledger
from jobs.links import GROUP
from jobs.record import Job, Unreadable
from jobs.states import JobState
from providers.base import Located, Observation, Operation, Part, Provider, Request, Verdict
from providers.settings import ProviderSettings
from providers.trigger import MAX_MEMBERS, Member, shallow

#: Members that are read in one go.
BATCH = 500

#: Of so many groups a process remembers which members have succeeded, instead of reading them at each look.
REMEMBERED = 8

#: For members: the last job of the chain that has started, and where it is.
Ends = dict[str, tuple[str, Glance | None]]


class GroupSettings(ProviderSettings):
    """A group calls nobody: of what every provider has, only its countdown and its deadline are of use."""

    connect_timeout: float = Field(0.1, gt=0, description="not used: a group calls nobody, seconds")
    read_timeout: float = Field(0.1, gt=0, description="not used, either, seconds")
    poll_first: float = Field(1.0, ge=0, description="from the start of the members to the first look, seconds")
    poll_minimum: float = Field(1.0, gt=0, description="shortest countdown, seconds")
    poll_maximum: float = Field(5.0, gt=0, description="longest countdown, seconds")
    deadline: float = Field(86400.0, gt=0, description="from the trigger; after it a group is expired, seconds")
    listed: int = Field(1000, ge=0, le=MAX_MEMBERS, description="so many members are named in the outcome")

    def missing(self, provider: str) -> list[str]:
        """Nothing: there is no API to call."""
        return []


class GroupRequest(Request):
    """The keyword arguments of `settle.group`."""

    jobs: Annotated[list[Member], BeforeValidator(shallow)] = Field(
        min_length=1, max_length=MAX_MEMBERS, description="the members"
    )
    success: Literal["all", "any"] = Field("all", description="how many must succeed for the group to succeed")

    @model_validator(mode="after")
    def _unlike(self) -> Self:
        named = [member.id for member in self.jobs if member.id]
        if len(set(named)) < len(named):
            raise ValueError("jobs: two members have the same id")
        return self


class Group(Operation[GroupRequest]):
    """Start all members, then look at them until the last one has ended."""

    name = ""  # the workflow is called by the provider's name alone: settle.group
    request = GroupRequest

    def intent(self, request: GroupRequest, job_id: str) -> dict[str, Any]:
        """How to find the members: all but those with an id of their own are numbered from 1."""
        own = {str(number): member.id for number, member in enumerate(request.jobs, 1) if member.id}
        return {"group": job_id, "members": len(request.jobs), "ids": own, "success": request.success}

    def parts(self, request: GroupRequest, job_id: str) -> Sequence[Part]:
        """The members."""
        ids = _ids(self.intent(request, job_id))
        return [
            Part(
                member_id,
                member.workflow,
                {**member.kwargs, **member.model_dump(include={"tags", "deadline", "then"}, exclude_unset=True)},
            )
            for member_id, member in zip(ids, request.jobs, strict=True)
        ]

    async def submit(self, request: GroupRequest, intent: Mapping[str, Any]) -> dict[str, Any]:
        """Nothing is left to do: the members are recorded."""
        return {"remote_id": intent["group"]}

    async def locate(self, request: GroupRequest, intent: Mapping[str, Any]) -> Located:
        """Members have ids that stay the same, so starting them again is safe."""
        return Located(absent=True)

    async def observe(self, job: Job) -> Observation:
        """Read the states of all members, each at the end of its chain as far as that goes."""
        intent = job.intent or {}
        ids = _ids(intent)
        refused = set((job.receipt or {}).get("refused", ()))
        ends = await self._ends(job, [member for member in ids if member not in refused])
        states = {member: _state(*ends[member]) if member in ends else "refused" for member in ids}
        running = sum(state is None for state in states.values())
        good = sum(state == JobState.SUCCEEDED for state in states.values())
        total, bad = len(ids), len(ids) - running - good
        message = f"{total - running} of {total} ended" + (f", {bad} without success" if bad else "")
        if unknown := sum(glance is not None and glance.state is None for _, glance in ends.values()):
            message += f", {unknown} {Unreadable.remedy}"
        if running:
            return Observation(
                Verdict.RUNNING, word="running", progress=100 * (total - running) // total, message=message
            )
        succeeded = not bad or (intent["success"] == "any" and good)
        # Those that did not succeed come first: they must not be among those that are left out.
        order = sorted(ids, key=lambda member: states[member] == JobState.SUCCEEDED)
        named = [_entry(member, str(states[member]), ends) for member in order[: self.provider.settings.listed]]
        if not succeeded:
            message += ": " + ", ".join(f"{entry['id']} {entry['state']}" for entry in named[:5])
        return Observation(
            Verdict.SUCCEEDED if succeeded else Verdict.FAILED,
            word="succeeded" if not bad else "partial" if good else "failed",
            progress=100,
            message=message,
            result={"members": total, "succeeded": good, "jobs": named, "left_out": total - len(named)},
        )

    async def _ends(self, job: Job, ids: Sequence[str]) -> Ends:
        """For each member the last job of its chain that has started.

        What has succeeded never moves again, so this process does not read it twice. All else is read each time: a
        person may reopen what has failed.
        """
        ends: Ends = self.provider.seen(job)
        follow = {
            member: ends[member][0] if member in ends else member
            for member in ids
            if member not in ends or not _over(ends[member][1])
        }
        while follow:
            waiting, follow = list(follow.items()), {}
            for start in range(0, len(waiting), BATCH):
                batch = waiting[start : start + BATCH]
                found = await asyncio.to_thread(self.provider.ledger.glance, [job_id for _, job_id in batch])
                for (member, job_id), glance in zip(batch, found, strict=True):
                    ends[member] = job_id, glance
                    if glance is not None and glance.state is JobState.SUCCEEDED and glance.next:
                        follow[member] = glance.next
        return ends


def _ids(intent: Mapping[str, Any]) -> list[str]:
    own = intent["ids"]
    return [own.get(str(number)) or f"{intent['group']}.{number}" for number in range(1, intent["members"] + 1)]


def _over(glance: Glance | None) -> bool:
    """Whether a chain has succeeded, and nobody will ever reopen it."""
    return glance is not None and glance.state is JobState.SUCCEEDED and not (glance.next or glance.broken)


def _state(last: str, glance: Glance | None) -> str | None:
    """How a member ended; none while it has not."""
    if glance is None:
        return "forgotten"
    if glance.broken and glance.state is JobState.SUCCEEDED:
        return "stopped"
    return glance.state if glance.finished else None


def _entry(member: str, state: str, ends: Ends) -> dict[str, str]:
    last = ends[member][0] if member in ends else member
    return {"id": member, "state": state, **({"last": last} if last != member else {})}


class Groups(Provider):
    """The provider of groups: the ledger itself."""

    name: ClassVar[str] = GROUP
    settings_type = GroupSettings
    operations = (Group,)

    def __init__(self, settings: GroupSettings, ledger: Ledger) -> None:
        self.settings = settings
        self.notes = ledger
        self.ledger = ledger
        self._seen: dict[tuple[str, float], Ends] = {}

    def seen(self, job: Job) -> Ends:
        """What this process has seen of a group's members; to be kept up to date by whoever looks."""
        name = (job.id, job.created_at)  # an id may come again when its job is forgotten
        self._seen[name] = self._seen.pop(name, {})
        while len(self._seen) > REMEMBERED:  # that were not looked at for longest: the dictionary keeps the order
            del self._seen[next(iter(self._seen))]
        return self._seen[name]

    def headers(self) -> dict[str, str]:
        """There are no calls."""
        return {}

    async def close(self) -> None:
        """There are no connections."""


PROVIDER = Groups
