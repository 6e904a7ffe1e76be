"""Secrets from files: one per variable, nested ones too; nothing of them in a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import read
from jobs.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that `SETTLE_SECRETS_DIR` names."""
    monkeypatch.setenv("SETTLE_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_files_are_read_like_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In either case, without the line end; beside variables of the same group; an empty one sets nothing."""
    (folder / "settle_redis_password").write_text("p/ä\n")
    (folder / "SETTLE_MYIPR__API_KEY").write_text("a-key")
    (folder / "settle_lettrlabs__api_key").write_text("")
    (folder / "somebody_elses").write_text("x")
    monkeypatch.setenv("SETTLE_REDIS_URL", "redis://host/0")
    monkeypatch.setenv("SETTLE_MYIPR__BASE_URL", "https://myipr.example")
    own = read()
    assert own.redis() == "redis://:p%2F%C3%A4@host/0"
    assert own.provider("myipr").api_key.get_secret_value() == "a-key"  # type: ignore[union-attr]
    assert own.providers()["lettrlabs"].api_key is None
    assert "a-key" not in repr(own)


def test_a_variable_goes_before_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one may be tried without touching the file."""
    (folder / "settle_flower__password").write_text("of the file")
    (folder / "settle_flower__user").write_text("somebody")
    monkeypatch.setenv("SETTLE_FLOWER__PASSWORD", "of the variable")
    own = read().flower
    assert (own.user, own.password.get_secret_value()) == ("somebody", "of the variable")  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["settle_redis_pasword", "SETTLE_FLOWER__PASSWRD", "settle_myipr__base_url"])
def test_a_file_that_sets_nothing_good_is_refused(folder: Path, name: str) -> None:
    """With the name of its variable, and without its content."""
    (folder / name).write_text("a secret value")
    with pytest.raises(ConfigurationError, match=name.upper()) as caught:
        read()
    assert "a secret value" not in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than to start without a password."""
    monkeypatch.setenv("SETTLE_SECRETS_DIR", str(folder / "missing"))
    with pytest.raises(ConfigurationError, match=r"SETTLE_SECRETS_DIR: .*missing"):
        read()
