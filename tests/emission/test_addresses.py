"""Where a webhook may go: what is judged is the address of the connection, whatever the name says."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import trustme

from config.targets import WebhookSettings
from jobs.clock import ManualClock
from jobs.errors import ConfigurationError
from workflows.deliveries import Answer, Result
from workflows.deliveries.addresses import public
from workflows.deliveries.webhook import WebhookCarrier

from .conftest import SECRET, together, webhook
from .receiver import Endpoint, listening

PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.100.100.200",  # noqa: S104
    "100.64.0.1", "192.0.0.192", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "168.63.129.16", "192.88.99.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::7f00:1", "2002:7f00:1::", "2001:db8::1",
    "2001:0:808:808::80ff:fffe", "localhost", "", "1.2.3",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_an_own_network_is_public(address: str) -> None:
    """Private, loopback, link-local, of a cloud's machines, reserved; also where it hides in another one."""
    assert not public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_network_is(address: str) -> None:
    """The rule above does not refuse everything."""
    assert public(address)


def post(settings: dict[str, Any]) -> Answer:
    """Post once to an endpoint with these settings."""

    async def once() -> Answer:
        carrier = WebhookCarrier(WebhookSettings(**settings), ManualClock())
        try:
            return await carrier.post("a:1", "{}")
        finally:
            await carrier.close()

    return together(once())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"])  # noqa: S104
def test_nothing_is_sent_to_this_machine_unless_that_is_allowed(endpoint: Endpoint, host: str) -> None:
    """By number, by name, in another way to write it: no connection is made."""
    url = endpoint.url.replace("127.0.0.1", host)
    answer = post(webhook(endpoint, url=url, allow_private=False))
    assert answer.result is Result.LATER
    assert "not public" in answer.reason
    assert endpoint.got == []
    if host != "[::ffff:127.0.0.1]":  # our endpoint does not listen there
        assert post(webhook(endpoint, url=url)).result is Result.SENT


def test_a_name_that_changes_its_address_gains_nothing(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: at the first look-up it is public, at each further one it is us."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebinding.example":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        address = "192.0.2.1" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = endpoint.url.replace("127.0.0.1", "rebinding.example")
    for _ in range(3):
        answer = post(webhook(endpoint, url=url, allow_private=False, timeout=1))
        assert "not public" in answer.reason
    assert len(asked) >= 3
    assert endpoint.got == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(endpoint: Endpoint, status: int) -> None:
    """It could lead anywhere; it counts as a failure that says what to do."""
    with listening() as other:
        endpoint.says(status, {"Location": other.url})
        answer = post(webhook(endpoint))
        assert (answer.result, other.got) == (Result.LATER, [])
        assert "redirects are not followed" in answer.reason


def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_set(endpoint: Endpoint) -> None:
    """Then it is a failure like any other."""
    endpoint.says(200, seconds=1.5)
    assert post(webhook(endpoint, timeout=0.2)) == Answer(Result.LATER, "no answer within 0.2 s")


def test_the_certificate_is_verified(tmp_path: Path) -> None:
    """By the public authorities, and those of the setting."""
    import ssl

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(pem)
    with listening(context) as endpoint:
        own = {"allow_http": False}
        refused = post(webhook(endpoint, **own))
        assert refused == Answer(Result.LATER, "no answer (ClientConnectorCertificateError)")
        assert endpoint.got == []
        assert post(webhook(endpoint, ca_file=pem, **own)).result is Result.SENT


def test_a_file_without_certificates_is_refused_at_the_start(tmp_path: Path) -> None:
    """Not at the first delivery."""
    pem = tmp_path / "ca.pem"
    pem.write_text("nothing")
    own = WebhookSettings(url="https://shop.example", secrets=SECRET, ca_file=pem)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"CA_FILE of the webhook for shop\.example"):
        WebhookCarrier(own, ManualClock())


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/a?token=of-the-address", "http://no-such-name.invalid/of-the-address"],
    ids=["refused", "unknown"],
)
def test_what_is_said_of_a_failure_quotes_no_address(endpoint: Endpoint, url: str) -> None:
    """The path may hold a secret."""
    answer = post(webhook(endpoint, url=url, timeout=2))
    assert answer.result is Result.LATER
    assert "of-the-address" not in answer.reason
    assert "127.0.0.1" not in answer.reason
