"""The simulator as a server: one aiohttp application that plays all four APIs."""

import time
from collections.abc import Mapping
from typing import Any, Self, TypedDict

from aiohttp import web

from simulator import control, openapi
from simulator.account import Account
from simulator.clock import Clock, Now
from simulator.commonsdb import CommonsDB
from simulator.exchange import Service, handler_for
from simulator.faults import Fault, FaultKind
from simulator.lettrlabs import LettrLabs
from simulator.myipr import MyIPR
from simulator.plans import Plan, Plans, Provider
from simulator.stamps import TimeStampAuthority
from simulator.switches import AllSwitches, SwitchBoard, Switches, all_switches
from simulator.unique_tokens import UniqueTokens
from simulator.world import DEFAULT_DID, DEFAULT_DURATIONS, DEFAULT_KEYS, World, dump

_LARGEST_BODY = 64 * 1024 * 1024


class Options(TypedDict, total=False):
    """The options of a `Simulator`."""

    host: str
    port: int
    speed: float
    seed: int
    durations: Mapping[Provider, tuple[float, float]]
    switches: AllSwitches | Mapping[str, Any]
    keys: Mapping[Provider, str]
    did: str
    now: Now


class Simulator:
    """The four APIs on one port; an async context manager that serves while it is entered.

    `port` 0 takes a free one. `speed` is in simulated seconds per real second. `durations` are the shortest and
    longest processing time by provider, in simulated seconds. `now` gives real epoch seconds. Raises
    `SwitchError` for wrong switches and OSError when the port is taken.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        seed: int = 0,
        durations: Mapping[Provider, tuple[float, float]] | None = None,
        switches: AllSwitches | Mapping[str, Any] | None = None,
        keys: Mapping[Provider, str] | None = None,
        did: str = DEFAULT_DID,
        now: Now = time.time,
    ) -> None:
        self.host = host
        self.port = port
        self.keys: dict[Provider, str] = {**DEFAULT_KEYS, **(keys or {})}
        self.did = did
        clock = Clock(now, speed)
        plans = Plans(clock, seed, {**DEFAULT_DURATIONS, **(durations or {})})
        board = SwitchBoard(all_switches(switches))
        self._world = World(clock, plans, board, self.keys, did, seed)
        self._services: list[Service] = [
            CommonsDB(self._world),
            MyIPR(self._world),
            UniqueTokens(self._world),
            LettrLabs(self._world),
            TimeStampAuthority(self._world),
        ]
        self._operations = {service.name: {route.operation for route in service.routes()} for service in self._services}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address of the server, for example `http://127.0.0.1:8123`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def base_urls(self) -> dict[Provider, str]:
        """The base URL of each provider, as its client needs it."""
        return {
            "commonsdb": f"{self.url}{CommonsDB.prefix}",
            "myipr": f"{self.url}{MyIPR.prefix}",
            "unique_tokens": f"{self.url}{UniqueTokens.prefix}",
            "lettrlabs": f"{self.url}{LettrLabs.prefix}",
        }

    @property
    def tsa_url(self) -> str:
        """The address of the time-stamp authority."""
        return f"{self.url}/tsa"

    def application(self) -> web.Application:
        """Make the aiohttp application."""
        application = web.Application(client_max_size=_LARGEST_BODY)
        for service in self._services:
            for route in service.routes():
                handler = handler_for(self._world, service, route)
                application.router.add_route(route.method, service.prefix + route.path, handler)
        control.add_routes(application, self)
        application.router.add_route("GET", openapi.PATH, self._openapi)
        return application

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.Response(body=dump(self.openapi()), content_type="application/json")

    def openapi(self) -> dict[str, Any]:
        """Give the OpenAPI 3.1 description of the server; holds no credentials."""
        return openapi.describe(self._services)

    async def start(self) -> None:
        """Begin to serve; sets `port` when it was 0."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host, self.port, backlog=1024)
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close all connections and stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    def account(self) -> Account:
        """Read the books."""
        return self._world.books.report(self._world.clock.now())

    def switches(self, provider: Provider) -> Switches:
        """Give the switches of a provider as they are now."""
        return self._world.switches.of(provider)

    def set_switches(self, provider: Provider, **changes: Any) -> Switches:
        """Change switches; raises `SwitchError` that names the field."""
        return self._world.switches.change(provider, changes)

    def fault(
        self,
        provider: str,
        kind: FaultKind,
        operation: str | None = None,
        reference: str | None = None,
        times: int | None = None,
        **params: Any,
    ) -> int:
        """Load a fault and give its number; see `Fault` for kinds and `params`.

        Raises ValueError (pydantic's ValidationError is one) for what makes no sense.
        """
        values = {"provider": provider, "kind": kind, "operation": operation, "reference": reference}
        fault = Fault.model_validate({**values, "times": times, **params})
        known = self._operations[fault.provider]
        if operation is not None and operation not in known:
            message = f"operation {operation} is none of {sorted(known)}"
            raise ValueError(message)
        return self._world.faults.add(fault)

    def faults(self) -> dict[int, Fault]:
        """Give the loaded faults by number."""
        return self._world.faults.listed()

    def clear_faults(self, provider: str | None = None, number: int | None = None) -> int:
        """Unload one fault, those of a provider, or all; give how many there were."""
        return self._world.faults.clear(provider, number)

    def plan(self, provider: Provider, reference: str, **plan: Any) -> None:
        """Fix the fate of jobs with this reference; see `Plan`. Raises ValueError for unknown fields."""
        self._world.plan(provider, reference, Plan.model_validate(plan))

    def reset(self) -> None:
        """Forget jobs, sessions, plans, faults and books; go back to the switches of the start."""
        for service in self._services:
            service.clear()
        self._world.plans.clear()
        self._world.faults.clear()
        self._world.books.clear()
        self._world.rates.clear()
        self._world.switches.reset()

    def health(self) -> dict[str, Any]:
        """Tell where everything is; holds no credentials."""
        return {
            "ready": True,
            "url": self.url,
            "base_urls": self.base_urls,
            "tsa_url": self.tsa_url,
            "did": self.did,
            "speed": self._world.clock.speed,
            "seed": self._world.seed,
        }
