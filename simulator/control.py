"""The control endpoints below /_control, and a client for them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, get_args

import httpx
from aiohttp import web
from pydantic import ValidationError

from simulator.account import Account
from simulator.plans import Provider
from simulator.switches import SwitchError
from simulator.world import dump

if TYPE_CHECKING:
    from simulator.application import Simulator


CONTROL_ROUTES = (
    ("GET", "/_control/account", "get_account"),
    ("GET", "/_control/health", "get_health"),
    ("GET", "/_control/switches/{provider}", "get_switches"),
    ("PATCH", "/_control/switches/{provider}", "patch_switches"),
    ("GET", "/_control/faults", "get_faults"),
    ("POST", "/_control/faults", "post_faults"),
    ("DELETE", "/_control/faults", "delete_faults"),
    ("POST", "/_control/plans", "post_plans"),
    ("POST", "/_control/reset", "post_reset"),
)
"""Method, path and name of each control endpoint."""


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=dump(value), content_type="application/json")


def _explained(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Turn refused values into 422 with an `error` text."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ValidationError as error:
            texts = (
                f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False, include_context=False)
            )
            return _json({"error": "; ".join(texts)}, 422)
        except (SwitchError, ValueError, TypeError, KeyError) as error:
            return _json({"error": str(error)}, 422)

    return answer


def _provider(name: Any) -> Provider:
    if name not in get_args(Provider):
        message = f"provider {name} is none of {', '.join(get_args(Provider))}"
        raise ValueError(message)
    provider: Provider = name
    return provider


async def _body(request: web.Request) -> dict[str, Any]:
    value = await request.json() if request.can_read_body else {}
    if not isinstance(value, dict):
        raise TypeError("the body must be a JSON object")
    return value


def add_routes(application: web.Application, simulator: "Simulator") -> None:
    """Add the control endpoints to the application of a simulator."""

    async def account(_: web.Request) -> web.Response:
        return _json(simulator.account().model_dump(mode="json"))

    async def health(_: web.Request) -> web.Response:
        return _json(simulator.health())

    async def get_switches(request: web.Request) -> web.Response:
        provider = _provider(request.match_info["provider"])
        return _json(simulator.switches(provider).model_dump(mode="json"))

    async def patch_switches(request: web.Request) -> web.Response:
        provider = _provider(request.match_info["provider"])
        changed = simulator.set_switches(provider, **await _body(request))
        return _json(changed.model_dump(mode="json"))

    async def get_faults(_: web.Request) -> web.Response:
        return _json({str(key): value.model_dump(mode="json") for key, value in simulator.faults().items()})

    async def post_fault(request: web.Request) -> web.Response:
        return _json({"number": simulator.fault(**await _body(request))}, 201)

    async def delete_faults(request: web.Request) -> web.Response:
        number = request.query.get("number")
        cleared = simulator.clear_faults(request.query.get("provider"), int(number) if number else None)
        return _json({"cleared": cleared})

    async def post_plan(request: web.Request) -> web.Response:
        body = await _body(request)
        provider = _provider(body.pop("provider", None))
        simulator.plan(provider, str(body.pop("reference")), **body)
        return _json({"planned": True}, 201)

    async def reset(_: web.Request) -> web.Response:
        simulator.reset()
        return _json({"reset": True})

    handlers: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {
        "get_account": account,
        "get_health": health,
        "get_switches": get_switches,
        "patch_switches": patch_switches,
        "get_faults": get_faults,
        "post_faults": post_fault,
        "delete_faults": delete_faults,
        "post_plans": post_plan,
        "post_reset": reset,
    }
    for method, path, name in CONTROL_ROUTES:
        application.router.add_route(method, path, _explained(handlers[name]))


class ControlError(ValueError):
    """The simulator refused a control request; the message says why."""


class ControlClient:
    """Controls a simulator in another process; the methods are those of `Simulator`.

    `url` is the address that the simulator printed when it was ready. Raises `ControlError` for refused values
    and httpx.HTTPError when there is no answer.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        response = self._client.request(method, f"/_control/{path}", json=body)
        if response.status_code == 422:
            raise ControlError(response.json()["error"])
        response.raise_for_status()
        return response.json()

    def health(self) -> dict[str, Any]:
        """Ask where everything is."""
        found: dict[str, Any] = self._call("GET", "health")
        return found

    @property
    def base_urls(self) -> dict[Provider, str]:
        """The base URL of each provider."""
        urls: dict[Provider, str] = self.health()["base_urls"]
        return urls

    def account(self) -> Account:
        """Read the books."""
        return Account.model_validate(self._call("GET", "account"))

    def switches(self, provider: Provider) -> dict[str, Any]:
        """Give the switches of a provider as they are now."""
        found: dict[str, Any] = self._call("GET", f"switches/{provider}")
        return found

    def set_switches(self, provider: Provider, **changes: Any) -> dict[str, Any]:
        """Change switches of a provider."""
        changed: dict[str, Any] = self._call("PATCH", f"switches/{provider}", changes)
        return changed

    def fault(
        self,
        provider: str,
        kind: str,
        operation: str | None = None,
        reference: str | None = None,
        times: int | None = None,
        **params: Any,
    ) -> int:
        """Load a fault and give its number."""
        values = {"provider": provider, "kind": kind, "operation": operation, "reference": reference}
        number: int = self._call("POST", "faults", {**values, "times": times, **params})["number"]
        return number

    def clear_faults(self, provider: str | None = None, number: int | None = None) -> int:
        """Unload one fault, those of a provider, or all; give how many there were."""
        query = httpx.QueryParams({k: v for k, v in (("provider", provider), ("number", number)) if v})
        cleared: int = self._call("DELETE", f"faults?{query}")["cleared"]
        return cleared

    def plan(self, provider: Provider, reference: str, **plan: Any) -> None:
        """Fix the fate of jobs with this reference."""
        self._call("POST", "plans", {"provider": provider, "reference": reference, **plan})

    def reset(self) -> None:
        """Forget everything and go back to the switches of the start."""
        self._call("POST", "reset", {})
