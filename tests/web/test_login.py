"""Nobody gets anything without a login, and no other site changes anything in the name of who is logged in."""

from __future__ import annotations

import re
from contextlib import ExitStack
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from config.embedded import EmbeddedRedis
from jobs.errors import ConfigurationError
from jobs.states import JobState, Wish
from tests.forked import python
from workflows.web import api, handler, pages, stream
from workflows.web.routes import ROUTES, Route
from workflows.web.server import attach

from .conftest import CHANGES, PASSWORD, USER, Site, environment, started

ADDRESSES = {
    "/api/jobs/{id}": "/api/jobs/g-polling",
    "/api/jobs/{id}/events": "/api/jobs/g-polling/events",
    "/api/jobs/{id}/acts": "/api/jobs/g-polling/acts",
    "/api/providers/{name}/acts": "/api/providers/myipr/acts",
    "/jobs/static/(.*)": "/jobs/static/jobs.js",
    "/api/(?:jobs|providers)/.*": "/api/jobs/a/b/c",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _address(route: Route) -> str:
    found = ADDRESSES.get(route.path, route.path)
    assert re.fullmatch(r"[\w/.-]+", found), f"{route.path}: give it an address above"
    return found


@pytest.mark.parametrize("auth", [None, (USER, "wrong"), ("wrong", PASSWORD), (USER, ""), ("", "")], ids=str)
def test_every_address_refuses_who_is_not_logged_in(site: Site, auth: tuple[str, str] | None) -> None:
    """Any method; with all that a request of ours would have, so that it is the login that is missing."""
    site.gallery()
    headers = {**CHANGES, "X-XSRFToken": "t"}
    with httpx.Client(base_url=site.url, auth=auth, headers=headers, cookies={"_xsrf": "t"}) as client:
        for route in ROUTES:
            for method in METHODS:
                answer = client.request(method, _address(route), json={"act": "cancel"})
                # A method that nobody has is refused before anything else; it tells nothing.
                assert answer.status_code in (401, 405), (method, route.path, answer.status_code)
                if method == "GET":
                    assert answer.status_code == 401
                    assert answer.headers["www-authenticate"].startswith("Basic")
                assert "g-polling" not in answer.text
                assert "myipr" not in answer.text
    assert site.ledger.get("g-polling").wish is None


def test_every_handler_of_ours_has_an_address_and_looks_at_the_login() -> None:
    """None is forgotten above: what is in the modules is in the table."""
    listed = {route.handler for route in ROUTES}
    for module in (api, pages, stream):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, handler.Handler) and kind.__module__ == module.__name__:
                assert kind in listed or kind.__name__ == "ApiHandler", kind
                assert kind.prepare is handler.Handler.prepare
    assert all(issubclass(kind, handler.Handler) for kind in listed)


def test_the_right_login_opens_it(client: httpx.Client) -> None:
    """The test above could not fail otherwise."""
    assert client.get("/jobs").status_code == 200
    assert client.get("/api/jobs").status_code == 200


def _button(client: httpx.Client) -> dict[str, str]:
    """The fields of a job's first button, from the page."""
    text = client.get("/job", params={"id": "g-polling"}).text
    token = re.search(r'name="_xsrf" value="([^"]+)"', text)
    assert token is not None
    return {"_xsrf": token[1], "id": "g-polling", "act": "pause"}


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}],
    ids=str,
)
def test_another_site_changes_nothing(site: Site, client: httpx.Client, headers: dict[str, str]) -> None:
    """A browser tells where a request comes from; neither a button nor the API takes it."""
    site.gallery()
    fields = _button(client)
    assert client.post("/job/button", data=fields, headers=headers).status_code == 403
    acts = "/api/jobs/g-polling/acts"
    assert client.post(acts, json={"act": "pause"}, headers={**CHANGES, **headers}).status_code == 403
    assert site.ledger.get("g-polling").wish is None


def test_a_button_needs_the_token(site: Site, client: httpx.Client) -> None:
    """Without it, with a wrong one, or without the cookie that belongs to it, nothing happens."""
    site.gallery()
    fields = _button(client)
    cookie = client.cookies.pop("_xsrf")
    tries = [
        ({**fields, "_xsrf": ""}, cookie),
        ({**fields, "_xsrf": "2|00|00|0"}, cookie),
        ({name: value for name, value in fields.items() if name != "_xsrf"}, cookie),
        (fields, None),
    ]
    for data, held in tries:
        cookies = {"Cookie": f"_xsrf={held}"} if held else {}
        assert client.post("/job/button", data=data, headers=cookies).status_code == 403
        provider = {"_xsrf": data.get("_xsrf", ""), "provider": "myipr", "act": "pause"}
        assert client.post("/jobs/provider", data=provider, headers=cookies).status_code == 403
    assert site.ledger.get("g-polling").wish is None
    assert site.ledger.paused_until("myipr") == 0
    assert client.post("/job/button", data=fields, headers={"Cookie": f"_xsrf={cookie}"}).status_code == 303
    assert site.ledger.get("g-polling").wish is Wish.PAUSE


def test_the_api_needs_its_header(site: Site, client: httpx.Client) -> None:
    """A form or a script of another site cannot send it."""
    site.gallery()
    for path, body in (
        ("/api/jobs/g-polling/acts", {"act": "pause"}),
        ("/api/providers/myipr/acts", {"act": "pause"}),
        ("/api/jobs", {"workflow": "myipr.certify", "kwargs": {}}),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "forbidden")
        assert "X-Requested-With" in answer.json()["error"]["message"]
    assert site.ledger.get("g-polling").wish is None
    assert client.post("/api/jobs/g-polling/acts", json={"act": "pause"}, headers=CHANGES).status_code == 200


def test_answers_stay_with_who_they_are_for(site: Site, client: httpx.Client) -> None:
    """No cache, no frame, no script but ours, and a token that no other site's request carries along."""
    site.gallery()
    for path in ("/jobs", "/job?id=g-polling", "/api/jobs", "/job?id=none"):
        headers = client.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers
    with site.client() as fresh:
        cookie = SimpleCookie(fresh.get("/jobs").headers["set-cookie"])["_xsrf"]
    assert cookie["samesite"] == "Strict"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SETTLE_FLOWER__PASSWORD": ""}, "never runs without a login"),
        ({"SETTLE_FLOWER__PASSWORD": "", "FLOWER_BASIC_AUTH": "a:b"}, "never runs without a login"),
        ({"SETTLE_FLOWER__USER": "a:b"}, "SETTLE_FLOWER__USER: a colon"),
        ({"SETTLE_FLOWER__PASSWORD": "gehört"}, "use ASCII"),
    ],
    ids=["empty", "flower-only", "colon", "letters"],
)
def test_flower_does_not_start_without_a_login(
    redis_server: EmbeddedRedis, settings: dict[str, str], said: str
) -> None:
    """One line on standard error, exit code 5, and no word of the password."""
    done = python("-m", "workflows.command", "flower", env={**environment(redis_server, 0), **settings}, timeout=30)
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
    assert said in done.stderr
    assert "gehört" not in done.stderr


def test_our_pages_are_never_added_to_a_flower_without_login() -> None:
    """Whoever builds the application by hand finds out at its start."""

    class Bare:
        class options:  # noqa: N801
            basic_auth = None
            auth = ""

    with pytest.raises(ConfigurationError, match="login"):
        attach(Bare(), None)  # type: ignore[arg-type]


def test_below_a_prefix(tmp_path: Path) -> None:
    """Flower's own option moves all of it; links and the stream go along."""
    with ExitStack() as exits:
        server = exits.enter_context(EmbeddedRedis(tmp_path))
        site = started(server, exits, FLOWER_URL_PREFIX="ops/flower", FLOWER_BASIC_AUTH="other:login")
        site.job("a", JobState.POLLING)
        client = exits.enter_context(httpx.Client(base_url=site.url, auth=(USER, PASSWORD)))
        text = client.get("/ops/flower/jobs").text
        links = re.findall(r'(?:href|action|src|data-live|data-events)="(/[^"]*)"', text)
        assert [link for link in links if not link.startswith("/ops/flower/")] == []
        assert client.get("/ops/flower/api/jobs/a").json()["job_id"] == "a"
        assert client.get("/ops/flower/api/openapi.json").json()["servers"] == [{"url": "/ops/flower"}]
        assert client.get("/jobs").status_code == 404
        with httpx.Client(base_url=site.url, auth=("other", "login")) as other:
            assert other.get("/ops/flower/jobs").status_code == 401
