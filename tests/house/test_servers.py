"""Addresses of Redis: passwords in their place, Sentinels that agree, and what Celery is told about them."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.sentinel import SentinelConnectionPool, SentinelManagedConnection

from config import servers
from config.settings import made_of
from jobs.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "password", "complete"),
    [
        ("redis://host:1/2", None, "redis://host:1/2"),
        ("redis://host:1/2", "a", "redis://:a@host:1/2"),
        ("rediss://settle@host:1/2?x=1", "p@:/;", "rediss://settle:p%40%3A%2F%3B@host:1/2?x=1&ssl_cert_reqs=required"),
        ("sentinel://a:1;sentinel://b:2/3", None, "sentinel://a:1/3;sentinel://b:2/3"),
        ("sentinels://a:1;sentinels://b/3", "s", "sentinels://:s@a:1/3;sentinels://:s@b/3"),
        ("sentinel://a;sentinel://b", "s", "sentinel://:s@a;sentinel://:s@b"),
        ("sentinel://u:p@a:1/3; sentinel://b:2;", None, "sentinel://u:p@a:1/3;sentinel://u:p@b:2/3"),
    ],
)
def test_an_address_is_completed(url: str, password: str | None, complete: str) -> None:
    """Whatever is in the password; each Sentinel with the same login and database."""
    values: dict[str, Any] = {"redis_url": url, "redis_password": password}
    assert made_of(**values).redis() == complete == made_of(**values).broker()


@pytest.mark.parametrize(
    ("url", "password", "told"),
    [
        ("redis://:secret-1@host/0", "secret-2", "SETTLE_REDIS_PASSWORD: the address has a password already"),
        ("sentinel://a/1;sentinel://b/2", None, "SETTLE_REDIS_URL: all Sentinels need the same"),
        ("sentinel://:secret-1@a;sentinel://:secret-2@b", None, "SETTLE_REDIS_URL: all Sentinels need the same"),
        ("sentinel://a;sentinels://b", None, "SETTLE_REDIS_URL: all Sentinels need the same"),
        ("sentinel://a;redis://b", None, "SETTLE_REDIS_URL: all Sentinels need the same"),
    ],
)
def test_addresses_that_contradict_are_refused(url: str, password: str | None, told: str) -> None:
    """With the name of the setting, and without the secret."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        made_of(redis_url=url, redis_password=password).redis()
    assert "secret" not in str(caught.value)


def test_a_client_asks_the_sentinels() -> None:
    """Name, password of the Sentinels, and login of the servers behind them each reach the right place."""
    own = made_of(
        redis_url="sentinel://settle@a:1;sentinel://b/3",
        redis_password="of-the-servers",
        sentinel={"master": "ledger", "password": "of-the-sentinels"},
    )
    pool = servers.client(own, own.redis(), socket_timeout=5).connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"], one["password"], one["socket_timeout"]) for one in asked] == [
        ("a", 1, "of-the-sentinels", 5),
        ("b", 26379, "of-the-sentinels", 5),
    ]
    assert {sentinel.get_retry().get_retries() for sentinel in pool.sentinel_manager.sentinels} == {0}  # then the next
    login = {name: pool.connection_kwargs[name] for name in ("username", "password", "db")}
    assert (pool.service_name, login) == ("ledger", {"username": "settle", "password": "of-the-servers", "db": 3})
    patience = {"socket_connect_timeout": 5, "socket_timeout": 5}
    options = {"master_name": "ledger", "sentinel_kwargs": {"password": "of-the-sentinels", **patience}}
    assert servers.transport_options(own, own.redis()) == options
    assert servers.transport_options(own, "amqp://host//") == {}


@pytest.mark.parametrize(
    ("values", "replicas"),
    [
        ({}, 0),
        ({"redis_url": "redis://a"}, 0),
        ({"redis_url": "sentinel://a"}, 1),
        ({"redis_url": "sentinel://a", "redis_replicas": 0}, 0),
        ({"redis_url": "redis://a", "redis_replicas": 2}, 2),
    ],
)
def test_an_intent_is_on_a_replica_behind_sentinel(values: dict[str, Any], replicas: int) -> None:
    """One, unless somebody says otherwise; none where there is one server."""
    assert made_of(**values).replicas() == replicas


@pytest.mark.parametrize("answer", ["UNBLOCKED force unblock", "NOREPLICAS Not enough good replicas", "ERR syntax"])
def test_a_server_that_is_not_the_primary_is_a_lost_connection(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a worker connects again instead of ending; a mistake of ours stays one."""
    servers.client(made_of(), "sentinel://a")  # this puts the patches in place
    error = ResponseError(answer)
    parent: Any = SentinelManagedConnection.__mro__[1]

    def answers(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(parent, "read_response", answers)
    connection = SentinelManagedConnection(connection_pool=None)
    expected = ResponseError if answer.startswith("ERR") else RedisConnectionError
    with pytest.raises(expected) as caught:
        connection.read_response()
    assert (caught.value is error) == answer.startswith("ERR")
