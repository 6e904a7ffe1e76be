"""The four remote APIs as one local server: an independent witness of what clients do.

It imports nothing of the project's other packages, and plays each API as its contract describes it: true field
types, authentication, validation, errors and timing. What a contract leaves open is a switch.
"""

from simulator.account import Account, JobAccount, ProviderAccount
from simulator.application import Simulator
from simulator.background import Running, running
from simulator.clock import ManualClock
from simulator.control import ControlClient, ControlError
from simulator.faults import FAULT_KINDS, Fault
from simulator.plans import PROVIDERS, Plan, Provider
from simulator.switches import (
    AllSwitches,
    CommonsDBSwitches,
    LettrLabsSwitches,
    MyIPRSwitches,
    SwitchError,
    UniqueTokensSwitches,
)
from simulator.world import DEFAULT_DID, DEFAULT_DURATIONS, DEFAULT_KEYS

__all__ = [
    "DEFAULT_DID",
    "DEFAULT_DURATIONS",
    "DEFAULT_KEYS",
    "FAULT_KINDS",
    "PROVIDERS",
    "Account",
    "AllSwitches",
    "CommonsDBSwitches",
    "ControlClient",
    "ControlError",
    "Fault",
    "JobAccount",
    "LettrLabsSwitches",
    "ManualClock",
    "MyIPRSwitches",
    "Plan",
    "Provider",
    "ProviderAccount",
    "Running",
    "Simulator",
    "SwitchError",
    "UniqueTokensSwitches",
    "running",
]
