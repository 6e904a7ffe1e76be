"""The settings: what is missing, and what would travel in clear text."""

from __future__ import annotations

from urllib.parse import urlsplit

from config.checks.finding import Finding, warning
from config.settings import CoreSettings

_HERE = {"localhost", "127.0.0.1", "::1"}


def missing(own: CoreSettings) -> list[Finding]:
    """Providers that are not configured, and a Flower without a login."""
    findings = []
    for name, provider in own.providers().items():
        if lacking := provider.missing(name):
            what = f"{name} is not configured: its jobs are refused"
            findings.append(warning(what, f"set {' and '.join(lacking)}, if it is to be used"))
    if own.flower.password is None:
        findings.append(warning("Flower has no login, so it does not start", "set SETTLE_FLOWER__PASSWORD"))
    return findings


def in_clear(own: CoreSettings) -> list[Finding]:
    """Keys, bodies and passwords that leave this machine without TLS."""
    findings = []
    for name, provider in own.providers().items():
        if provider.base_url and not provider.missing(name) and _exposed(str(provider.base_url), "http"):
            findings.append(
                warning(
                    f"{name}: its address is http://, so the key and all bodies travel in clear text",
                    f"give SETTLE_{name.upper()}__BASE_URL an https:// address",
                )
            )
    for variable, url in {"SETTLE_REDIS_URL": own.redis(), "SETTLE_BROKER_URL": own.broker()}.items():
        if _exposed(url, "redis", "sentinel", "amqp") and not (
            variable == "SETTLE_BROKER_URL" and own.broker_url is None
        ):
            findings.append(
                warning(
                    f"{variable}: without TLS the password and all bodies travel in clear text",
                    "use rediss://, sentinels:// or amqps://, or keep that network to Settle's machines (SECURITY.md)",
                )
            )
    return findings


def _exposed(url: str, *schemes: str) -> bool:
    parts = [urlsplit(part) for part in url.split(";")]
    return any(part.scheme in schemes and (part.hostname or "") not in _HERE for part in parts)
