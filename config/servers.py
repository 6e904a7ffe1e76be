"""Which Redis is meant: one server by its address, or the primary that Sentinels name.

`redis://host:6379/0` is one server. `sentinel://one:26379;sentinel://two:26379/0` are the Sentinels of a primary and
its replicas: each new connection asks them who the primary is, so a fail-over only costs the connections it breaks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from redis import Redis
from redis.sentinel import Sentinel

from config import sentinel_guard
from jobs.errors import ConfigurationError

if TYPE_CHECKING:
    from config.settings import CoreSettings

_SENTINEL = "sentinel"
_SENTINEL_PORT = 26379

#: Addresses of the ledger.
LEDGERS = ("redis", "rediss", _SENTINEL, "unix")


def sentinels(url: str) -> bool:
    """Whether an address is one of Sentinels."""
    return urlsplit(url).scheme == _SENTINEL


def redis_like(url: str) -> bool:
    """Whether a broker is a Redis: then its queues are lists that anybody can read."""
    return urlsplit(url).scheme in ("redis", "rediss", _SENTINEL)


def brokers() -> tuple[str, ...]:
    """The schemes of the brokers that kombu knows."""
    from kombu.transport import TRANSPORT_ALIASES  # late: only whoever names a broker of its own needs it

    return tuple(TRANSPORT_ALIASES)


def check(name: str, url: str, schemes: Collection[str]) -> None:
    """Look at an address before a client does, whose error would quote it.

    Args:
        name: of its setting.
        url: as set; several are separated by `;`.
        schemes: that are understood.

    Raises:
        ValueError: it cannot be read; nothing of it is quoted, for a part of it is a password.
    """
    hint = "write it as redis://user:password@host:6379/0, with %40 for @, %2F for / and %23 for # in a password"
    for part in filter(None, map(str.strip, url.split(";"))):
        try:
            read = urlsplit(part)
            readable = read.port is None or bool(read.port)
        except ValueError:
            readable = False
        if not readable:
            raise ValueError(f"{name}: not an address that can be read; {hint}")
        if read.scheme.partition("+")[0] not in schemes:
            raise ValueError(f"{name}: it must begin with one of {', '.join(f'{each}://' for each in schemes)}")


def shown(url: str) -> str:
    """An address for people: scheme, host, port and path, and never a password."""
    parts = [urlsplit(part.strip()) for part in url.split(";") if part.strip()]
    return ";".join(part._replace(netloc=part.netloc.rpartition("@")[2], query="").geturl() for part in parts)


def complete(url: str, password: str | None = None) -> str:
    """An address in full: the password in its place, and the same database and user for each Sentinel.

    Args:
        url: as set; several Sentinels are separated by `;`.
        password: of the user in the address, if it is not part of it.

    Raises:
        ConfigurationError: two passwords, or Sentinels that contradict each other.
    """
    if not password and not sentinels(url):
        return url
    parts = [urlsplit(part.strip()) for part in url.split(";") if part.strip()]
    if password and any(part.password for part in parts):
        raise ConfigurationError("SETTLE_REDIS_PASSWORD: the address has a password already; leave one of them out")
    schemes, paths = {part.scheme for part in parts}, {part.path.strip("/") for part in parts} - {""}
    logins = {part.netloc.rpartition("@")[0] for part in parts} - {""}
    if len(schemes) > 1 or len(paths) > 1 or len(logins) > 1:
        raise ConfigurationError("SETTLE_REDIS_URL: all Sentinels need the same scheme, login and database")
    login = logins.pop() if logins else ""
    if password:
        login = f"{login.rstrip(':')}:{quote(password, safe='')}"
    path = f"/{paths.pop()}" if paths else ""
    whole = [
        part._replace(netloc=(f"{login}@" if login else "") + part.netloc.rpartition("@")[2], path=path).geturl()
        for part in parts
    ]
    return ";".join(whole)


def _sentinel_options(own: CoreSettings) -> dict[str, Any]:
    password = own.sentinel.password.get_secret_value() if own.sentinel.password else None
    return {"password": password} if password else {}


def transport_options(own: CoreSettings, url: str) -> dict[str, Any]:
    """What Celery must know beside the address: nothing, or the name of the primary."""
    if not sentinels(url):
        return {}
    return {"master_name": own.sentinel.master, "sentinel_kwargs": _sentinel_options(own)}


def client(own: CoreSettings, url: str, **options: Any) -> Redis:
    """A client of the server, or of whichever server is the primary when it connects.

    Args:
        own: name and password for the Sentinels.
        url: the address, complete.
        options: of the connections.
    """
    if not sentinels(url):
        one: Redis = Redis.from_url(url, **options)
        return one
    sentinel_guard.install()
    parts = [urlsplit(part) for part in url.split(";")]
    timeouts = {name: value for name, value in options.items() if name.startswith("socket_")}
    hosts = [(part.hostname or "127.0.0.1", part.port or _SENTINEL_PORT) for part in parts]
    made: Any = Sentinel  # its stubs know no types
    known = made(hosts, sentinel_kwargs={**timeouts, **_sentinel_options(own)})
    # Through `from_url`, for what it does to user, password and database; the host it reads is never used.
    login: Mapping[str, Any] = Redis.from_url(
        url.split(";")[0].replace("sentinel:", "redis:", 1)
    ).get_connection_kwargs()
    kept = {name: login[name] for name in ("username", "password", "db") if name in login}
    primary: Redis = known.master_for(own.sentinel.master, **kept, **options)
    return primary
