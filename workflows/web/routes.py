"""All addresses of ours, beside Flower's own. The description of the JSON API is made of the same table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from pydantic import BaseModel
from tornado.routing import URLSpec
from tornado.web import RequestHandler

from workflows.web import api, hooks, models, openapi, pages, stream
from workflows.web.handler import FileHandler


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of an address takes and gives.

    Args:
        name: of the operation, for programs that are made from the description.
        summary: a line for people.
        gives: the type of the answer; none for a stream of events.
        takes: the type of the body.
        query: the parameters of the address.
        codes: of success.
    """

    name: str
    summary: str
    gives: type[BaseModel] | None
    takes: Any = None
    query: type[BaseModel] = models.Nothing
    codes: tuple[HTTPStatus, ...] = (HTTPStatus.OK,)


@dataclass(frozen=True, slots=True)
class Route:
    """An address.

    Args:
        path: with `{name}` for a part that varies.
        handler: who answers.
        name: under which templates know it.
        operations: by method; none for what is not part of the API.
        arguments: of the handler.
    """

    path: str
    handler: type[RequestHandler]
    name: str | None = None
    operations: Mapping[str, Operation] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, prefix: str = "") -> URLSpec:
        """As Tornado takes it, below Flower's own prefix."""
        pattern = re.sub(r"\{\w+\}", "([^/]+)", self.path)
        return URLSpec(f"{prefix}{pattern}", self.handler, dict(self.arguments), name=self.name)


_STATIC = {"path": str(files("workflows") / "web" / "static")}

PAGES = (
    Route("/jobs", pages.JobsPage, "jobs"),
    Route("/jobs/rows", pages.JobsRows, "jobs_rows"),
    Route("/jobs/figures", pages.JobsFigures, "jobs_figures"),
    Route("/jobs/static/(.*)", FileHandler, "jobs_static", arguments=_STATIC),
    Route("/jobs/provider", pages.ProviderButton, "provider_button"),
    Route("/job", pages.JobPage, "job"),
    Route("/job/parts", pages.JobParts, "job_parts"),
    Route("/job/button", pages.JobButton, "job_button"),
)

_CREATED = (HTTPStatus.CREATED, HTTPStatus.OK)

API = (
    Route(
        "/api/jobs",
        api.Jobs,
        operations={
            "get": Operation("list_jobs", "List jobs, newest first", models.JobsView, query=models.Listing),
            "post": Operation(
                "submit_job",
                "Submit a job. 201: a new one; 200: this very request is a job already; 409: the id is another's",
                models.JobView,
                models.Submission,
                codes=_CREATED,
            ),
        },
    ),
    Route("/api/jobs/{id}", api.JobHandler, operations={"get": Operation("read_job", "Read a job", models.JobView)}),
    Route(
        "/api/jobs/{id}/events",
        api.JobEvents,
        operations={"get": Operation("read_events", "Read the history of a job", models.EventsView)},
    ),
    Route(
        "/api/jobs/{id}/acts",
        api.JobActs,
        operations={"post": Operation("act_on_job", "Act on a job", models.JobView, models.JobAct)},
    ),
    Route(
        "/api/providers",
        api.Providers,
        operations={"get": Operation("read_providers", "Read where all jobs stand", models.ProvidersView)},
    ),
    Route(
        "/api/providers/{name}/acts",
        api.ProviderActs,
        operations={
            "post": Operation("act_on_provider", "Close or open a gate", models.ProviderView, models.ProviderAct)
        },
    ),
    Route(
        "/api/events",
        stream.Events,
        "events",
        operations={"get": Operation("follow", "Follow what happens to jobs", None, query=models.Following)},
    ),
    Route(
        openapi.PATH,
        openapi.Description,
        operations={"get": Operation("describe", "This description", models.AnyObject)},
    ),
)

#: All that asks for the login.
ROUTES = (*PAGES, *API, Route("/api/(?:jobs|providers)/.*", api.NotFound))

#: All that does not: each asks for the signature of a provider.
DOORS = (Route("/hooks/{provider}", hooks.Door),)
