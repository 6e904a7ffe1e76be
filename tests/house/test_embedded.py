"""The embedded server: real, private, durable, stopped cleanly."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import redis

from config.embedded import EmbeddedRedis
from jobs.errors import ConfigurationError


def _client(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_it_is_private(tmp_path: Path) -> None:
    """Loopback only, with a password; what holds the password is readable by its owner alone."""
    with EmbeddedRedis(tmp_path) as server:
        with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        with _client(server) as client:
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
        for path in (tmp_path / "redis" / "valkey.conf", tmp_path / "redis" / "redis.url"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_never_forgets(tmp_path: Path) -> None:
    """Append-only file on, no eviction; data survive a stop, and a kill once synced."""
    server = EmbeddedRedis(tmp_path, appendfsync="always").start()
    with _client(server) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("a", "1")
    server.kill()
    server.start()
    with _client(server) as client:
        assert client.get("a") == "1"
        client.set("b", "2")
    server.stop()
    server.start()
    with _client(server) as client:
        assert client.get("b") == "2"
    server.stop()


def test_it_leaves_no_process_behind(tmp_path: Path) -> None:
    """After the block the process is gone."""
    with EmbeddedRedis(tmp_path) as server:
        assert server.process is not None
        pid = server.process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The end of its log is in the error."""
    with EmbeddedRedis(tmp_path) as first:
        second = EmbeddedRedis(tmp_path / "other")
        second.port = first.port
        with pytest.raises(ConfigurationError, match="did not start"):
            second.start()
