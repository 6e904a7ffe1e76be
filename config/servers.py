"""Which Redis is meant: one server by its address, or the primary that Sentinels name.

`redis://host:6379/0` is one server. `sentinel://one:26379;sentinel://two:26379/0` are the Sentinels of a primary and
its replicas: each new connection asks them who the primary is, so a fail-over only costs the connections it breaks.
With `rediss://` it is TLS; with `sentinels://` it is TLS to the Sentinels and to the servers that they name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from redis import Redis, asyncio
from redis.asyncio import sentinel as asyncio_sentinel
from redis.sentinel import Sentinel

from config import tls
from jobs.errors import ConfigurationError
from patches import patch_once

if TYPE_CHECKING:
    from config.settings import CoreSettings

_SENTINEL, _SENTINEL_TLS = "sentinel", "sentinels"
_SENTINEL_PORT = 26379

#: Addresses of the ledger.
LEDGERS = ("redis", "rediss", _SENTINEL, _SENTINEL_TLS, "unix")


def sentinels(url: str) -> bool:
    """Whether an address is one of Sentinels."""
    return urlsplit(url).scheme in (_SENTINEL, _SENTINEL_TLS)


def redis_like(url: str) -> bool:
    """Whether a broker is a Redis: then its queues are lists that anybody can read."""
    return urlsplit(url).scheme in ("redis", "rediss", _SENTINEL, _SENTINEL_TLS)


def brokers() -> tuple[str, ...]:
    """The schemes of brokers: those that kombu knows, and our own."""
    from kombu.transport import TRANSPORT_ALIASES  # late: only whoever names a broker of its own needs it

    return (*TRANSPORT_ALIASES, _SENTINEL_TLS)


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


def for_celery(url: str) -> str:
    """An address as kombu and Celery read it: they know one scheme for Sentinels, and TLS beside it."""
    return ";".join(part.replace(f"{_SENTINEL_TLS}://", f"{_SENTINEL}://", 1) for part in url.split(";"))


def tls_options(own: CoreSettings, url: str) -> dict[str, Any]:
    """What Celery must know of TLS beside the address: nothing, or the certificates and that they are verified."""
    scheme = urlsplit(url).scheme
    if scheme in tls.OF_BROKER:
        return own.broker_tls.options()
    return dict(own.redis_tls.query()) if scheme in tls.OF_REDIS else {}


def _sentinel_options(own: CoreSettings, url: str) -> dict[str, Any]:
    """How to talk to the Sentinels themselves. One that hangs must not be waited for."""
    password = own.sentinel.password.get_secret_value() if own.sentinel.password else None
    return {
        "socket_connect_timeout": 5,
        "socket_timeout": 5,
        **({"password": password} if password else {}),
        **_redis_tls(own, url),
    }


def _redis_tls(own: CoreSettings, url: str) -> dict[str, Any]:
    return {"ssl": True, **own.redis_tls.query()} if urlsplit(url).scheme == _SENTINEL_TLS else {}


def transport_options(own: CoreSettings, url: str) -> dict[str, Any]:
    """What Celery must know beside the address: nothing, or the name of the primary."""
    if not sentinels(url):
        return {}
    return {"master_name": own.sentinel.master, "sentinel_kwargs": _sentinel_options(own, url)}


def client(own: CoreSettings, url: str, **options: Any) -> Redis:
    """A client of the server, or of whichever server is the primary when it connects.

    Args:
        own: name and password for the Sentinels, and certificates.
        url: the address, complete.
        options: of the connections.
    """
    if not sentinels(url):
        one: Redis = Redis.from_url(url, **options)
        return one
    primary: Redis = _primary(own, url, Sentinel, options)
    return primary


def async_client(own: CoreSettings, url: str, **options: Any) -> Any:
    """The same for an event loop."""
    if not sentinels(url):
        return asyncio.Redis.from_url(url, **options)
    return _primary(own, url, asyncio_sentinel.Sentinel, options)


def _primary(own: CoreSettings, url: str, made: Any, options: Mapping[str, Any]) -> Any:
    patch_once()
    parts = [urlsplit(part) for part in url.split(";")]
    timeouts = {name: value for name, value in options.items() if name.startswith("socket_")}
    hosts = [(part.hostname or "127.0.0.1", part.port or _SENTINEL_PORT) for part in parts]
    known = made(hosts, sentinel_kwargs={**_sentinel_options(own, url), **timeouts})
    # Through `from_url`, for what it does to user, password and database; the host it reads is never used.
    login: Mapping[str, Any] = Redis.from_url(
        url.split(";")[0].replace(f"{parts[0].scheme}:", "redis:", 1)
    ).get_connection_kwargs()
    kept = {name: login[name] for name in ("username", "password", "db") if name in login}
    return known.master_for(own.sentinel.master, **kept, **_redis_tls(own, url), **options)
