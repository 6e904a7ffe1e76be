"""The shapes of the time-stamp authority and of the control endpoints."""

from typing import Any

from simulator.account import Account
from simulator.faults import Fault
from simulator.openapi.shapes import Api, Closed, File, Shape
from simulator.plans import Plan, Provider
from simulator.switches import CommonsDBSwitches, LettrLabsSwitches, MyIPRSwitches, UniqueTokensSwitches


class Health(Closed):
    """Where everything is."""

    ready: bool
    url: str
    base_urls: dict[Provider, str]
    tsa_url: str
    did: str
    speed: float
    seed: int


class ControlProblem(Closed):
    """Why a request was refused."""

    error: str


class Number(Closed):
    """The number of a fault."""

    number: int


class Cleared(Closed):
    """How many faults were unloaded."""

    cleared: int


class NewPlan(Plan):
    """The fate of the jobs with a reference."""

    provider: Provider
    reference: str


class Planned(Closed):
    """A plan was taken."""

    planned: bool


class Reset(Closed):
    """Everything was forgotten."""

    reset: bool


_SWITCHES: Any = CommonsDBSwitches | MyIPRSwitches | UniqueTokensSwitches | LettrLabsSwitches
CONTROL = Api(
    title="Control of the simulator",
    schemes={},
    errors={"application/json": ControlProblem},
    shapes={
        "get_account": Shape("The books: what was received, accepted and served", Account),
        "get_health": Shape("Where everything is", Health),
        "get_switches": Shape("The switches of a provider", _SWITCHES),
        "patch_switches": Shape("Change switches of a provider", _SWITCHES, _SWITCHES),
        "get_faults": Shape("The loaded faults by number", dict[str, Fault]),
        "post_faults": Shape("Load a fault", Number, Fault),
        "delete_faults": Shape(
            "Unload faults", Cleared, query={"provider": "of this provider only", "number": "this one only"}
        ),
        "post_plans": Shape("Fix the fate of jobs", Planned, NewPlan),
        "post_reset": Shape("Forget everything", Reset),
    },
)
TSA = Api(
    title="Time-stamp authority (RFC 3161)",
    schemes={},
    errors={"text/plain": str},
    shapes={
        "stamp": Shape(
            "Stamp a hash", File, File, media="application/timestamp-reply", body_media="application/timestamp-query"
        )
    },
)
DESCRIPTION = Api(
    title="This description",
    schemes={},
    errors={},
    shapes={"openapi": Shape("This description", dict[str, Any])},
)
