"""TLS to Redis, to its Sentinels and to RabbitMQ: always verified, with a private authority if there is one."""

from __future__ import annotations

import ssl
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, FilePath, model_validator

#: Addresses that the settings for Redis count for.
OF_REDIS = ("rediss", "sentinels")

#: Likewise, for RabbitMQ.
OF_BROKER = ("amqps",)


class RedisTLSSettings(BaseModel):
    """For `rediss://` and `sentinels://`, which are always verified. Environment: `SETTLE_REDIS_TLS__<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca_file: FilePath | None = Field(None, description="PEM: who may sign the server's certificate; else the system's")
    cert_file: FilePath | None = Field(None, description="PEM: the certificate by which Redis knows Settle")
    key_file: FilePath | None = Field(None, description="PEM: its private key")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("SETTLE_REDIS_TLS__CERT_FILE and SETTLE_REDIS_TLS__KEY_FILE: set both or neither")
        return self

    def query(self) -> dict[str, str]:
        """What redis-py, kombu and Celery take for it, as options and in an address."""
        files = {"ssl_ca_certs": self.ca_file, "ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file}
        return {"ssl_cert_reqs": "required", **{name: str(path) for name, path in files.items() if path is not None}}


class BrokerTLSSettings(BaseModel):
    """For an `amqps://` broker, which is always verified. Environment: `SETTLE_BROKER_TLS__<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca_file: FilePath | None = Field(None, description="PEM: who may sign the broker's certificate; else the system's")
    cert_file: FilePath | None = Field(None, description="PEM: the certificate by which the broker knows Settle")
    key_file: FilePath | None = Field(None, description="PEM: its private key")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("SETTLE_BROKER_TLS__CERT_FILE and SETTLE_BROKER_TLS__KEY_FILE: set both or neither")
        return self

    def options(self) -> dict[str, Any]:
        """What py-amqp takes for it. Without a name it would verify none: `patches` puts in that of the address."""
        files = {"ca_certs": self.ca_file, "certfile": self.cert_file, "keyfile": self.key_file}
        return {
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": None,
            **{name: str(path) for name, path in files.items() if path is not None},
        }


def check(addresses: dict[str, str], of_redis: RedisTLSSettings, of_broker: BrokerTLSSettings) -> None:
    """Refuse addresses with parameters of their own, and certificates that nothing uses.

    Raises:
        ValueError: the sentence names the variable.
    """
    schemes = {name: urlsplit(url).scheme for name, url in addresses.items()}
    for name, url in addresses.items():
        if "ssl_" in urlsplit(url).query:
            group = "BROKER" if schemes[name] in OF_BROKER else "REDIS"
            raise ValueError(f"{name}: leave out its ssl_ parameters and set SETTLE_{group}_TLS__CA_FILE and the like")
    if of_redis != RedisTLSSettings() and not set(schemes.values()) & set(OF_REDIS):
        raise ValueError(
            "SETTLE_REDIS_TLS__… is set, but no address begins with rediss:// or sentinels://, so nothing is encrypted"
        )
    if of_broker != BrokerTLSSettings() and schemes.get("SETTLE_BROKER_URL") not in OF_BROKER:
        raise ValueError(
            "SETTLE_BROKER_TLS__… is set, but SETTLE_BROKER_URL does not begin with amqps://, so nothing is encrypted"
        )
