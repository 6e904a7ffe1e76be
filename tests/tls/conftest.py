"""A real Redis with TLS, which demands a certificate of its clients: `make test-tls` says where it is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import trustme

from config.embedded import free_port
from tests.waiting import until

PASSWORD = "admin-password-of-this-lane"


@dataclass(frozen=True)
class Authority:
    """A private authority, and the files that it gave out."""

    ca: trustme.CA
    folder: Path

    def write(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """A certificate for these hosts, or for this client, and its key."""
        issued = self.ca.issue_cert(*hosts)
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(str(cert))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    @property
    def file(self) -> Path:
        """Its own certificate."""
        path = self.folder / "ca.crt"
        self.ca.cert_pem.write_to_path(str(path))
        return path


@dataclass(frozen=True)
class Server:
    """Where it listens: with TLS, and without for whoever looks on."""

    port: int
    admin_url: str
    settings: dict[str, str]  #: Settle's, for the certificates

    def url(self, user: str = "default", password: str = PASSWORD, host: str = "localhost") -> str:
        """Its address with TLS."""
        return f"rediss://{user}:{password}@{host}:{self.port}/0"


def binary() -> str:
    """The redis-server with TLS; a Sentinel is the same program."""
    found = os.environ.get("TLS_REDIS", "")
    if not Path(found).is_file():
        pytest.fail("TLS_REDIS names no redis-server: run `make test-tls`")
    return found


def certified(authority: Authority, name: str) -> list[str]:
    """Its options for a certificate for `localhost` only, and for clients that need one, too."""
    cert, key = authority.write(name, "localhost")
    return [
        "--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-ca-cert-file", str(authority.file),
        "--tls-auth-clients", "yes",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for the session."""
    return Authority(trustme.CA(), tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Redis with a certificate for `localhost` only."""
    own_cert, own_key = authority.write("settle", "settle.example")
    port, plain = free_port(), free_port()
    command = [
        binary(), "--tls-port", str(port), "--port", str(plain), "--bind", "127.0.0.1", "--requirepass", PASSWORD,
        *certified(authority, "redis"), "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction",
        "--dir", str(tmp_path_factory.mktemp("tls-redis")),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    admin_url = f"redis://:{PASSWORD}@127.0.0.1:{plain}/0"

    def answers() -> bool:
        assert process.poll() is None, "this redis-server does not start with TLS"
        try:
            with redis.Redis.from_url(admin_url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    try:
        until(answers, "Redis with TLS")
        files = {"CA_FILE": authority.file, "CERT_FILE": own_cert, "KEY_FILE": own_key}
        yield Server(port, admin_url, {f"SETTLE_REDIS_TLS__{name}": str(path) for name, path in files.items()})
    finally:
        process.terminate()
        process.wait(10)
