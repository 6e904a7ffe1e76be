"""The settings: read once from the environment, frozen, and cross-checked with a sentence per rule.

Every variable begins with `SETTLE_`; a provider's own are nested with `__`, as in `SETTLE_MYIPR__BASE_URL`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self, cast
from urllib.parse import urlencode

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from config import embedded, servers, targets, tls
from config.targets import DownstreamSettings, WebhookSettings
from config.tls import BrokerTLSSettings, RedisTLSSettings
from jobs.errors import ConfigurationError
from jobs.ledger import ClaimLimits
from jobs.names import QueueName
from jobs.nearest import did_you_mean
from jobs.trace import traceparent
from providers import discover
from providers.settings import ProviderSettings

PREFIX = "SETTLE_"

_TLS = "rediss://"


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _SecretFiles(NestedSecretsSettingsSource):
    """Files named like their variables, in either case. An empty file sets nothing."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name: text for name, text in super()._load_env_vars().items() if text}


class BundleSettings(_Group):
    """How due jobs are handed out. Environment: `SETTLE_BUNDLE__<FIELD>`."""

    size: int = Field(100, ge=1, le=1000, description="jobs in one message; 1 gives a message per job and poll")
    outstanding: int = Field(8, ge=1, description="bundles queued or running at a time, per provider")


class FlowerSettings(_Group):
    """The web page. Environment: `SETTLE_FLOWER__<FIELD>`."""

    user: str = Field("settle", min_length=1)
    password: SecretStr | None = Field(None, description="without it Flower does not start")
    address: str = "127.0.0.1"
    port: int = Field(5555, ge=0, le=65535)


class MetricsSettings(_Group):
    """What Prometheus reads from a worker. Environment: `SETTLE_METRICS__<FIELD>`."""

    port: int | None = Field(
        None, ge=0, le=65535, description="where a worker serves its metrics; 0 takes a free one and logs it"
    )
    address: str = "127.0.0.1"


class TracesSettings(_Group):
    """OpenTelemetry. Environment: `SETTLE_TRACES__<FIELD>`; where spans go is in OpenTelemetry's own `OTEL_…`."""

    on: bool = Field(False, description="whether spans are made; needs the extra settle-jobs[otel]")
    to_providers: bool = Field(False, description="whether requests to a provider carry `traceparent`")

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if self.on and not all(map(_there, ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))):
            raise ValueError(
                "SETTLE_TRACES__ON needs what is not installed: pip install 'settle-jobs[otel]', or unset it"
            )
        return self


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


class SentinelSettings(_Group):
    """For a `sentinel://` or `sentinels://` address. Environment: `SETTLE_SENTINEL__<FIELD>`."""

    master: str = Field("mymaster", min_length=1, description="what the Sentinels call the primary")
    password: SecretStr | None = Field(None, description="of the Sentinels themselves")


class CoreSettings(BaseSettings):
    """Everything but the providers. Times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        hide_input_in_errors=True,
        secrets_dir_missing="error",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then the files of the secrets folder."""
        return init_settings, env_settings, _SecretFiles(file_secret_settings)

    redis_url: SecretStr | None = Field(
        None, description="ledger, results, and broker unless broker_url says otherwise"
    )
    redis_password: SecretStr | None = Field(None, description="of the user in redis_url, if it is not part of it")
    redis_replicas: int | None = Field(
        None,
        ge=0,
        description="so many replicas must have an intent before its request leaves; 1 behind Sentinel, else 0",
    )
    sentinel: SentinelSettings = SentinelSettings()
    broker_url: SecretStr | None = Field(None, description="another broker than Redis")
    redis_tls: RedisTLSSettings = RedisTLSSettings()
    broker_tls: BrokerTLSSettings = BrokerTLSSettings()
    secrets_dir: Path | None = Field(None, description="a folder with a file per secret, named like its variable")
    health_file: Path | None = Field(None, description="touched with each heartbeat of a worker, for health checks")
    schedules: Path | None = Field(None, description="TOML or JSON: workflows on a crontab, for `settle beat`")
    storage_url: str | None = Field(None, description="where artifacts go; a folder in state_dir if not set")
    state_dir: Path = Field(Path(".settle"), description="of the embedded Redis, and of artifacts")
    lease: float = Field(30.0, gt=0, description="a claim holds so long; whoever dies delays its jobs by that")
    bundle: BundleSettings = BundleSettings()
    flower: FlowerSettings = FlowerSettings()
    metrics: MetricsSettings = MetricsSettings()
    traces: TracesSettings = TracesSettings()
    webhooks: dict[str, WebhookSettings] = Field({}, description="endpoints that are told of events, by name")
    downstream: dict[str, DownstreamSettings] = Field({}, description="tasks that are sent for events, by name")
    link_queues: tuple[QueueName, ...] | None = Field(
        None, description="the only queues that links may name; if not set, any of another application"
    )
    clock_interval: float = Field(0.2, gt=0, le=5, description="the clock looks at least so often")
    doubt_grace: float = Field(5.0, gt=0, description="from a lost answer to asking the provider")
    submissions: int = Field(
        5, ge=1, description="times that one job is sent while every answer is lost; then a person decides"
    )
    fetch_attempts: int = Field(3, ge=1, description="tries to fetch a file that differs from what was promised")
    small_files: int = Field(
        1024**2,
        ge=0,
        description="up to this, bytes, one task fetches, verifies and emits files, of one job or of several together",
    )
    stage_time_limit: float = Field(600.0, gt=0, description="one run of a stage (prefork only)")
    visibility_timeout: float = Field(900.0, gt=0, description="after it the broker delivers a message again")
    retention: float = Field(7 * 86400.0, gt=0, description="a finished job and its result are kept so long")
    events_kept: int = Field(100_000, ge=1000, description="about so many events per provider")
    fail_point: str | None = Field(None, description="for the fault tests: where a worker dies, see config/fail_points")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("link_queues", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError('not JSON; write it as JSON, such as ["billing"]')
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.visibility_timeout <= self.stage_time_limit:
            raise ValueError(
                "SETTLE_VISIBILITY_TIMEOUT must exceed SETTLE_STAGE_TIME_LIMIT, or a running stage is delivered again"
            )
        urls = {"SETTLE_REDIS_URL": self.redis_url, "SETTLE_BROKER_URL": self.broker_url}
        addresses = {name: url.get_secret_value() for name, url in urls.items() if url is not None}
        for name, address in addresses.items():
            servers.check(name, address, servers.LEDGERS if name == "SETTLE_REDIS_URL" else servers.brokers())
        tls.check(addresses, self.redis_tls, self.broker_tls)
        targets.check(self.webhooks, self.downstream, self.providers())
        for name, provider in self.providers().items():
            if self.lease <= provider.longest_submission:
                raise ValueError(
                    f"SETTLE_LEASE ({self.lease:g} s) must exceed what one submission of {name} may take "
                    f"({provider.longest_submission:g} s: its timeouts together), or a slow answer outlives its claim"
                )
        return self

    def providers(self) -> dict[str, ProviderSettings]:
        """The settings of every provider, configured or not."""
        return {name: getattr(self, name) for name in discover()}

    def provider(self, name: str) -> ProviderSettings:
        """The settings of a provider that can be called.

        Raises:
            ConfigurationError: it is not configured; the message names the missing variables.
        """
        settings = self.providers()[name]
        if missing := settings.missing(name):
            raise ConfigurationError(f"{name} is not configured: set {' and '.join(missing)}")
        return settings

    def redis(self) -> str:
        """The address of Redis: as set, else that of the running embedded server.

        Raises:
            ConfigurationError: neither.
        """
        if self.redis_url is not None:
            password = self.redis_password.get_secret_value() if self.redis_password is not None else None
            return self._secured(servers.complete(self.redis_url.get_secret_value(), password))
        running = embedded.running_url(self.state_dir)
        if running is None:
            raise ConfigurationError(
                f"no Redis: set SETTLE_REDIS_URL, or start `settle dev` (its server would run in {self.state_dir})"
            )
        return running

    def broker(self) -> str:
        """The address of the broker."""
        return self._secured(self.broker_url.get_secret_value()) if self.broker_url is not None else self.redis()

    def _secured(self, address: str) -> str:
        """An address with what TLS needs, if it is one with TLS."""
        if not address.startswith(_TLS):
            return address
        return f"{address}{'&' if '?' in address else '?'}{urlencode(self.redis_tls.query())}"

    def replicas(self) -> int:
        """How many replicas must have the intent of a submission before its request leaves."""
        if self.redis_replicas is None:
            return int(self.redis_url is not None and servers.sentinels(self.redis()))
        return self.redis_replicas

    def storage(self) -> str:
        """Where artifacts go."""
        return self.storage_url or (self.state_dir.absolute() / "artifacts").as_uri()

    def claim_limits(self, provider: str) -> ClaimLimits:
        """What one claim of a provider's jobs may take."""
        own = self.providers()[provider]
        return ClaimLimits(
            bundle_size=self.bundle.size,
            bundles=self.bundle.outstanding,
            lease=self.lease,
            rate=own.rate,
            in_flight=own.in_flight,
        )


def _compose() -> type[CoreSettings]:
    """The settings with one group per provider: a new provider module brings its own.

    Raises:
        ConfigurationError: an installed provider cannot be used, or is named like a setting.
    """
    if taken := set(discover()) & set(CoreSettings.model_fields):
        raise ConfigurationError(f"provider {', '.join(sorted(taken))}: named like a setting of Settle; rename it")
    groups: dict[str, Any] = {
        name: (provider.settings_type, Field(default_factory=provider.settings_type))
        for name, provider in discover().items()
    }
    return cast("type[CoreSettings]", create_model("Settings", __base__=CoreSettings, **groups))


Settings = _compose()


def _names(folder: str | None) -> list[str]:
    return [found.name.upper() for found in Path(folder).iterdir()] if folder else []


def read() -> CoreSettings:
    """The settings as the environment has them now.

    Raises:
        ConfigurationError: a variable is unknown, unreadable or contradicts another; no value is quoted.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable.split("__")[0] not in known:
            near = did_you_mean(variable.split("__")[0], known)
            raise ConfigurationError(f"{variable} is not a setting of Settle: check its spelling, or unset it{near}")
    folder = os.environ.get(f"{PREFIX}SECRETS_DIR")
    try:
        for name in _names(folder):
            if name.startswith(PREFIX) and name.split("__")[0] not in known:
                raise ConfigurationError(f"{name} is not a setting of Settle: check the name of the file in {folder}")
        return Settings(_secrets_dir=folder)
    except SettingsError as error:
        # Its own message names the field and quotes no value, but says "source" where people know variables.
        if found := re.search(r'field "(\w+)"', str(error)):
            name = PREFIX + found[1].upper()
            raise ConfigurationError(f"{name}, or a list or group in {name}__…: not JSON; write it as JSON") from None
        raise ConfigurationError(f"{PREFIX}SECRETS_DIR: {folder} cannot be read ({type(error).__name__})") from None
    except OSError as error:
        raise ConfigurationError(f"{PREFIX}SECRETS_DIR: {folder} cannot be read ({type(error).__name__})") from None
    except ValidationError as error:
        lines = []
        for entry in error.errors(include_input=False, include_url=False, include_context=False):
            name = PREFIX + "__".join(str(part).upper() for part in entry["loc"])
            said = entry["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {said}" if entry["loc"] else said)
        raise ConfigurationError("; ".join(lines)) from None


def made_of(**values: Any) -> CoreSettings:
    """Settings of these values and the defaults alone, whatever the environment says."""
    nowhere: Any = {"_env_prefix": "nothing begins with this:"}
    return Settings(**nowhere, **values)


def inherited(*, own: bool = True) -> dict[str, str]:
    """The environment for a child process.

    Args:
        own: whether Settle's own variables go along.
    """
    return {name: value for name, value in os.environ.items() if own or not name.startswith(PREFIX)}


def hand_down(name: str, value: str | None) -> None:
    """Set (or unset) a variable that a library reads by itself, here and in the children of this process."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def callers_trace() -> str | None:
    """The trace that a command is part of: `TRACEPARENT`, as other tools hand it to theirs; none if it is none."""
    return traceparent(os.environ.get("TRACEPARENT"))


@cache
def settings() -> CoreSettings:
    """The settings of this process, read once."""
    return read()
