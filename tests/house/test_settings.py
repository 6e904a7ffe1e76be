"""The settings: read once, frozen, contradictions refused with a sentence that names the variable."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.embedded import EmbeddedRedis
from config.settings import Settings, read
from jobs.errors import ConfigurationError
from providers import discover


def test_an_empty_environment_is_fine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything has a default; providers are simply not configured."""
    monkeypatch.chdir(tmp_path)
    own = read()
    assert own.lease == 30
    assert set(own.providers()) == {"commonsdb", "group", "lettrlabs", "myipr", "unique_tokens"} == set(discover())


def test_a_provider_is_read_from_nested_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """`SETTLE_<PROVIDER>__<FIELD>`; an address keeps its path."""
    monkeypatch.setenv("SETTLE_UNIQUE_TOKENS__BASE_URL", "https://tokens.example/v2")
    monkeypatch.setenv("SETTLE_UNIQUE_TOKENS__API_KEY", "a-key")
    monkeypatch.setenv("SETTLE_UNIQUE_TOKENS__RATE", "12.5")
    own = read()
    assert str(own.provider("unique_tokens").base_url) == "https://tokens.example/v2"
    assert own.claim_limits("unique_tokens").rate == 12.5


def test_a_missing_provider_names_its_variables() -> None:
    """What must be set stands in the message."""
    with pytest.raises(ConfigurationError, match="SETTLE_MYIPR__BASE_URL and SETTLE_MYIPR__API_KEY"):
        read().provider("myipr")


def _endpoint(**fields: str) -> dict[str, str]:
    known = {"URL": "https://shop.example/in", "SECRETS": f"whsec_{'a' * 43}", **fields}
    return {f"SETTLE_WEBHOOKS__SHOP__{name}": value for name, value in known.items()}


def _downstream(name: str, **fields: str) -> dict[str, str]:
    known = {"TASK": "billing.ended", "QUEUE": "billing", **fields}
    return {f"SETTLE_DOWNSTREAM__{name}__{field}": value for field, value in known.items()}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"SETTLE_LEASE": "12"}, "SETTLE_LEASE"),
        ({"SETTLE_VISIBILITY_TIMEOUT": "100"}, "SETTLE_VISIBILITY_TIMEOUT"),
        ({"SETTLE_MYIPR__POLL_MINIMUM": "90"}, "poll_minimum must not exceed poll_maximum"),
        ({"SETTLE_MYIPR__POLL_FIRST": "99999"}, "poll_first must be below deadline"),
        ({"SETTLE_MYIPR__BASE_ULR": "http://a"}, "SETTLE_MYIPR__BASE_ULR"),
        ({"SETTLE_LEESE": "12"}, "SETTLE_LEESE is not a setting"),
        ({"SETTLE_BUNDLE__SIZE": "none"}, "SETTLE_BUNDLE__SIZE"),
        ({"SETTLE_MYIPR__BASE_URL": "ftp://a"}, "SETTLE_MYIPR__BASE_URL"),
        ({"SETTLE_METRICS__PORT": "70000"}, "SETTLE_METRICS__PORT"),
        ({"SETTLE_TRACES__ON": "perhaps"}, "SETTLE_TRACES__ON"),
        ({"SETTLE_REDIS_URL": "rediss://a?ssl_cert_reqs=none"}, "SETTLE_REDIS_URL: leave out its ssl_ parameters"),
        ({"SETTLE_REDIS_URL": "redis://a", "SETTLE_REDIS_TLS__CA_FILE": "pyproject.toml"}, "nothing is encrypted"),
        ({"SETTLE_BROKER_URL": "amqp://a", "SETTLE_BROKER_TLS__CA_FILE": "pyproject.toml"}, "nothing is encrypted"),
        ({"SETTLE_BROKER_URL": "amqps://a?ssl_ca_certs=a"}, "SETTLE_BROKER_TLS__CA_FILE and the like"),
        ({"SETTLE_BROKER_URL": "amqps://a", "SETTLE_BROKER_TLS__KEY_FILE": "pyproject.toml"}, "set both or neither"),
        ({"SETTLE_REDIS_URL": "rediss://a", "SETTLE_REDIS_TLS__CERT_FILE": "pyproject.toml"}, "set both or neither"),
        ({"SETTLE_WEBHOOKS__SHOP__URL": "https://a"}, "SETTLE_WEBHOOKS__SHOP__SECRETS: Field required"),
        (_endpoint(URL="http://a"), "SETTLE_WEBHOOKS__SHOP: .*use https://, or set ALLOW_HTTP"),
        (_endpoint(URL="https://user:word@a"), "SETTLE_WEBHOOKS__SHOP: .*leave user and password out"),
        (_endpoint(URL="ftp://a"), "SETTLE_WEBHOOKS__SHOP__URL"),
        (_endpoint(SECRETS="whsec_c2hvcnQ="), "SETTLE_WEBHOOKS__SHOP__SECRETS: .*24 to 64 random bytes"),
        (_endpoint(SECRETS="not-a-secret" * 4), "SETTLE_WEBHOOKS__SHOP__SECRETS: .*must be whsec_"),
        (_endpoint(SECRETS=""), "SETTLE_WEBHOOKS__SHOP__SECRETS"),
        (_endpoint(STATES="failed"), "SETTLE_WEBHOOKS, or a list .*: not JSON; write it as JSON"),
        (_endpoint(STATES='["ended"]'), "SETTLE_WEBHOOKS__SHOP__STATES"),
        (_endpoint(PROVIDERS='["nobody"]'), "SETTLE_WEBHOOKS__SHOP__PROVIDERS: 'nobody' is not one of"),
        (_endpoint(ULR="https://a"), "SETTLE_WEBHOOKS__SHOP__ULR"),
        ({**_endpoint(), **_downstream("SHOP")}, "SETTLE_DOWNSTREAM__SHOP: a webhook has this name already"),
        (_downstream("BILLS", QUEUE="settle.poll"), "SETTLE_DOWNSTREAM__BILLS__QUEUE: .*of another application"),
        (_downstream("BILLS", QUEUE="settle:{myipr}:due"), "SETTLE_DOWNSTREAM__BILLS__QUEUE: use 1 to 200 "),
        (_downstream("BILLS", TASK="settle.emit"), "SETTLE_DOWNSTREAM__BILLS__TASK: .*of another application"),
        ({"SETTLE_LINK_QUEUES": '["billing", "celery"]'}, "SETTLE_LINK_QUEUES__1: .*of another application"),
        ({"SETTLE_LINK_QUEUES": "billing"}, "SETTLE_LINK_QUEUES: not JSON; write it as JSON"),
        (_downstream("A B"), "SETTLE_DOWNSTREAM__A B: a name is"),
        ({"SETTLE_REDIS_URL": "rediss://a", "SETTLE_REDIS_TLS__CA_FILE": "no.pem"}, "SETTLE_REDIS_TLS__CA_FILE"),
    ],
)
def test_each_contradiction_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    """One failing configuration per rule."""
    monkeypatch.chdir(Path(__file__).parents[2])
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=told):
        read()


def test_the_lease_outlives_the_stamps_of_a_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come before the POST; without a key to sign there are none."""
    monkeypatch.setenv("SETTLE_LEASE", "24")
    assert read().lease == 24
    monkeypatch.setenv("SETTLE_COMMONSDB__SIGNING_KEY_FILE", "key.pem")
    with pytest.raises(ConfigurationError, match=r"SETTLE_LEASE .* commonsdb"):
        read()
    monkeypatch.setenv("SETTLE_COMMONSDB__STAMP_WITHIN", "8")
    assert read().lease == 24


def test_a_key_to_sign_is_read_from_the_environment_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JWK is JSON, which the reader of nested variables must leave alone."""
    monkeypatch.setenv("SETTLE_COMMONSDB__SIGNING_KEY", '{"kty": "EC", "d": "topsecret"}')
    monkeypatch.setenv("SETTLE_COMMONSDB__CONFIRM_BY", '["search"]')
    own = read()
    assert own.commonsdb.signing_key.get_secret_value() == '{"kty": "EC", "d": "topsecret"}'  # type: ignore[attr-defined]
    assert own.commonsdb.confirm_by == ("search",)  # type: ignore[attr-defined]
    assert "topsecret" not in repr(own) + str(own)
    monkeypatch.setenv("SETTLE_COMMONSDB__SIGNING_KEY_FILE", "key.pem")
    with pytest.raises(ConfigurationError, match="not both") as refused:
        read()
    assert "topsecret" not in str(refused.value)


def test_who_is_told_of_events_is_read_from_variables_and_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By name; the secrets of an endpoint from a file, a line each."""
    for name, value in {**_endpoint(STATES='["failed", "expired"]'), **_downstream("BILLS")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SETTLE_WEBHOOKS__SHOP__SECRETS")
    monkeypatch.setenv("SETTLE_SECRETS_DIR", str(tmp_path))
    old, new = f"whsec_{'a' * 43}", f"whsec_{'b' * 43}="
    (tmp_path / "settle_webhooks__shop__secrets").write_text(f"{new}\n{old}\n")
    own = read()
    assert own.webhooks["shop"].keys() == [new, old]
    assert own.webhooks["shop"].states == ("failed", "expired")
    assert own.downstream["bills"].states == ("cancelled", "expired", "failed", "succeeded")
    assert old not in repr(own) + str(own)
    assert "shop.example" not in repr(own)


def test_settings_are_frozen() -> None:
    """Nobody changes them on the way."""
    with pytest.raises(ValidationError):
        read().lease = 1


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the representation nor a refusal quotes a key or a password."""
    monkeypatch.setenv("SETTLE_REDIS_URL", "redis://:topsecret@host:1/0")
    monkeypatch.setenv("SETTLE_LETTRLABS__API_KEY", "topsecret")
    assert "topsecret" not in repr(read()) + str(read())
    monkeypatch.setenv("SETTLE_LETTRLABS__RATE", "topsecret")
    with pytest.raises(ConfigurationError) as refused:
        read()
    assert "topsecret" not in str(refused.value)


def test_without_redis_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set the variable, or start the embedded server."""
    monkeypatch.setenv("SETTLE_STATE_DIR", str(tmp_path))
    with pytest.raises(ConfigurationError, match="SETTLE_REDIS_URL"):
        read().redis()


def test_the_embedded_server_is_found_by_its_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another terminal needs no variable; once the server is stopped it is not found any more."""
    monkeypatch.setenv("SETTLE_STATE_DIR", str(tmp_path))
    with EmbeddedRedis(tmp_path) as server:
        assert read().redis() == server.url
        assert read().broker() == server.url
    with pytest.raises(ConfigurationError):
        read().redis()


def test_an_own_broker_goes_before_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """`SETTLE_BROKER_URL` only moves the messages; ledger and results stay in Redis."""
    monkeypatch.setenv("SETTLE_REDIS_URL", "redis://one/0")
    monkeypatch.setenv("SETTLE_BROKER_URL", "amqp://two//")
    assert (read().redis(), read().broker()) == ("redis://one/0", "amqp://two//")


def test_every_setting_has_a_unit_or_a_sentence() -> None:
    """A number without a description is a riddle."""
    for name, field in Settings.model_fields.items():
        assert field.annotation not in (float, int) or field.description, name
