"""A simulator in a background thread with its own event loop, for tests that are not asynchronous."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, Unpack

from simulator.account import Account
from simulator.application import Options, Simulator
from simulator.faults import Fault, FaultKind
from simulator.plans import Provider
from simulator.switches import Switches

T = TypeVar("T")


class Running:
    """A running simulator; its methods may be called from any thread and do what those of `Simulator` do."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self._simulator = simulator
        self._loop = loop
        self.url = simulator.url
        self.base_urls = simulator.base_urls
        self.tsa_url = simulator.tsa_url
        self.keys = simulator.keys
        self.did = simulator.did

    def _call(self, function: Callable[[], T]) -> T:
        """Run on the simulator's loop, which nothing else may touch, and wait for the result."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def account(self) -> Account:
        """Read the books."""
        return self._call(self._simulator.account)

    def switches(self, provider: Provider) -> Switches:
        """Give the switches of a provider as they are now."""
        return self._call(lambda: self._simulator.switches(provider))

    def set_switches(self, provider: Provider, **changes: Any) -> Switches:
        """Change switches; raises `SwitchError` that names the field."""
        return self._call(lambda: self._simulator.set_switches(provider, **changes))

    def fault(
        self,
        provider: str,
        kind: FaultKind,
        operation: str | None = None,
        reference: str | None = None,
        times: int | None = None,
        **params: Any,
    ) -> int:
        """Load a fault and give its number."""
        return self._call(lambda: self._simulator.fault(provider, kind, operation, reference, times, **params))

    def faults(self) -> dict[int, Fault]:
        """Give the loaded faults by number."""
        return self._call(self._simulator.faults)

    def clear_faults(self, provider: str | None = None, number: int | None = None) -> int:
        """Unload one fault, those of a provider, or all; give how many there were."""
        return self._call(lambda: self._simulator.clear_faults(provider, number))

    def plan(self, provider: Provider, reference: str, **plan: Any) -> None:
        """Fix the fate of jobs with this reference."""
        self._call(lambda: self._simulator.plan(provider, reference, **plan))

    def reset(self) -> None:
        """Forget everything and go back to the switches of the start."""
        self._call(self._simulator.reset)


@contextmanager
def running(**options: Unpack[Options]) -> Iterator[Running]:
    """Run a `Simulator` with these options in a background thread for the length of the block.

    Raises what `Simulator` raises, also when it cannot start.
    """
    simulator = Simulator(**options)
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def main() -> None:
        stopped = asyncio.Event()
        try:
            await simulator.start()
            found.update(loop=asyncio.get_running_loop(), stopped=stopped)
        except Exception as error:  # handed over to the thread that waits
            found["error"] = error
            return
        finally:
            ready.set()
        try:
            await stopped.wait()
        finally:
            await simulator.stop()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="simulator", daemon=True)
    thread.start()
    ready.wait()
    if "error" in found:
        thread.join()
        raise found["error"]
    try:
        yield Running(simulator, found["loop"])
    finally:
        found["loop"].call_soon_threadsafe(found["stopped"].set)
        thread.join()
