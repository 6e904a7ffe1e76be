"""Flower with our handlers: its own application, options and templates, and always a login."""

from __future__ import annotations

import atexit
import signal
from contextlib import suppress
from typing import Any

from celery import Celery
from flower import command
from flower.app import Flower
from flower.urls import settings as of_flower
from tornado.options import options

from config import logs, servers
from config.runtime import Runtime
from config.settings import FlowerSettings
from jobs.errors import ConfigurationError
from workflows.web import publishing
from workflows.web.feed import Feed
from workflows.web.handler import DESK, Desk
from workflows.web.routes import DOORS, ROUTES
from workflows.web.templates import Templates


def login(own: FlowerSettings) -> str:
    """User and password, as Flower compares them.

    Raises:
        ConfigurationError: there is none, or Flower could not compare it.
    """
    password = own.password.get_secret_value() if own.password else ""
    if not password:
        raise ConfigurationError("Flower never runs without a login: set SETTLE_FLOWER__PASSWORD")
    if ":" in own.user:
        raise ConfigurationError("SETTLE_FLOWER__USER: a colon cannot be part of it")
    if not (own.user + password).isascii():
        raise ConfigurationError("SETTLE_FLOWER__USER and __PASSWORD: use ASCII, other letters cannot be compared")
    return f"{own.user}:{password}"


def feed(run: Runtime) -> Feed:
    """What happens in the ledger of a runtime."""
    ledger, providers = run.ledger, list(run.settings.providers())
    client = servers.async_client(
        run.settings,
        run.settings.redis(),
        decode_responses=True,
        socket_timeout=15,
        socket_connect_timeout=5,
        health_check_interval=30,
    )
    return Feed(client, {name: ledger.stream(name) for name in providers}, lambda: ledger.overview(providers))


def attach(application: Any, desk: Desk) -> None:
    """Add our pages to Flower before it starts.

    Args:
        application: Flower's.
        desk: what our handlers work with.

    Raises:
        ConfigurationError: Flower would run without a login.
    """
    if not (application.options.basic_auth or application.options.auth):
        raise ConfigurationError("Flower never runs without a login: set SETTLE_FLOWER__PASSWORD")
    application.settings[DESK] = desk
    application.settings["template_loader"] = Templates(application.settings["template_path"])
    application.settings.setdefault("xsrf_cookie_kwargs", {"samesite": "Strict"})
    prefix = application.options.url_prefix.strip("/") if application.options.url_prefix else ""
    below = f"/{prefix}" if prefix else ""
    application.add_handlers(r".*", [*(route.spec(below) for route in (*ROUTES, *DOORS)), *publishing.specs(below)])
    application.io_loop.add_callback(desk.feed.start)


def serve(own: FlowerSettings, run: Runtime, app: Celery) -> None:
    """Run Flower in the foreground, as its own command does. Its options come from `FLOWER_…` and its file, too.

    Args:
        own: login and address, which go before Flower's own options.
        run: the runtime.
        app: the Celery application.

    Raises:
        ConfigurationError: there is no login, or no Redis.
    """
    basic_auth = login(own)
    command.apply_env_options()
    command.apply_options("flower", [])
    options.basic_auth, options.address, options.port = [basic_auth], own.address, own.port
    command.extract_settings()
    command.setup_logging()
    logs.dress()  # its options choose level and place, and know nothing of fields
    application = Flower(capp=app, options=options, **of_flower)
    attach(application, Desk(run, app, feed(run)))
    atexit.register(application.stop)
    # Flower's own handler raises SystemExit wherever the signal comes in; in a finalizer it is lost, and nothing ends.
    application.io_loop.asyncio_loop.add_signal_handler(signal.SIGTERM, application.io_loop.stop)
    port = application.start_http_server()
    command.print_banner(app, "ssl_options" in of_flower, port)
    with suppress(KeyboardInterrupt, SystemExit):
        application.start()
