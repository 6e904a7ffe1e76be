"""TLS to a provider: always verified, by the public authorities and by one that is named; a refusal sends nothing."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from httpx._config import create_ssl_context

from jobs.errors import ConfigurationError
from providers.errors import NotSent
from simulator import samples

from .bench import JOB_ID, client, go, request_of
from .server import http, scripted


@pytest.fixture(autouse=True)
def _contexts_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests of this folder share one context, to be quick."""
    monkeypatch.setattr(httpx, "create_ssl_context", create_ssl_context)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private authority."""
    return trustme.CA()


def serving(authority: trustme.CA, host: str) -> ssl.SSLContext:
    """A server with a certificate for this host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


def submitted(context: ssl.SSLContext, ca_file: Path | None) -> tuple[str, int]:
    """What becomes of one submission, and how many requests the server read."""
    body = samples.certificate_request("Harbour")
    body = {name: body[name] for name in ("name", "category_id", "hash", "size")}

    async def attempt() -> tuple[str, int]:
        answer = http(200, {"status": 200, "result": {"versionId": "v-1"}})
        async with scripted(lambda _: answer, tls=context) as server:
            async with client("myipr", server.url, ca_file=ca_file) as provider:
                operation = provider.operation("certify")
                request = request_of(operation, body)
                try:
                    await operation.submit(request, operation.intent(request, JOB_ID))
                except NotSent as error:
                    return str(error), len(server.seen)
            return "sent", len(server.seen)

    return go(attempt())


def test_a_named_authority_is_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    """With its file, and only so."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    assert submitted(serving(authority, "127.0.0.1"), ca_file) == ("sent", 1)


@pytest.mark.parametrize("wrong", ["unknown authority", "another authority", "another host"])
def test_a_certificate_that_is_refused_sends_nothing(authority: trustme.CA, tmp_path: Path, wrong: str) -> None:
    """So the submission may be repeated: nobody has read a byte of it."""
    ca_file = tmp_path / "ca.pem"
    (trustme.CA() if wrong == "another authority" else authority).cert_pem.write_to_path(str(ca_file))
    host = "elsewhere.example" if wrong == "another host" else "127.0.0.1"
    said, requests = submitted(serving(authority, host), None if wrong == "unknown authority" else ca_file)
    assert (said, requests) == ("the request never left (ClientConnectorCertificateError)", 0)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_holds_no_certificates_is_named(tmp_path: Path, content: str | None) -> None:
    """The jobs wait as not configured; the message says which file."""
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)

    async def attempt() -> None:
        async with client("myipr", "https://127.0.0.1:1", ca_file=ca_file):
            raise AssertionError("made without its authorities")

    with pytest.raises(ConfigurationError, match=r"ca_file: .*ca.pem"):
        go(attempt())


def test_nothing_switches_the_verification_off(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor a setting: there is none."""
    for name in ("PYTHONHTTPSVERIFY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "0")
    said, requests = submitted(serving(authority, "127.0.0.1"), None)
    assert "Certificate" in said
    assert requests == 0
