"""One project of the compose file, as a person would run it, for the tests."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

#: All of them: a service that no test asks for costs nothing.
PROFILES = ("--profile", "simulator", "--profile", "schedules", "--profile", "monitoring")


class Compose:
    """One project of the compose file, under a name, with secrets and on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.project = f"settle-test-{secrets.token_hex(4)}"
        self.folder = folder / "secrets"
        self._files = ["docker-compose.yml"]
        self._environment = {
            **os.environ,
            "APP_IMAGE": os.environ.get("APP_IMAGE", "settle:local"),
            "SECRETS_DIR": str(self.folder),
            "REDIS_PORT": "0",
            "FLOWER_PORT": "0",
            "SIMULATOR_PORT": "0",
            "PROMETHEUS_PORT": "0",
        }
        subprocess.run(["docker/make-secrets.sh", "--simulated"], cwd=ROOT, env=self._environment, check=True)

    @property
    def mine(self) -> dict[str, str]:
        """A filter of the engine for what belongs to this project."""
        return {"label": f"com.docker.compose.project={self.project}"}

    def override(self, file: Path, **environment: str) -> None:
        """Read one more file, as `docker-compose.override.yml` is read, and set these variables."""
        self._files.append(str(file))
        self._environment.update(environment)

    def secrets(self) -> dict[str, str]:
        """The secrets by the names of their files."""
        return {file.name: file.read_text() for file in self.folder.iterdir()}

    def run(self, *arguments: str, check: bool = True, **environment: str) -> str:
        """One compose command; what it printed."""
        files = [argument for file in self._files for argument in ("--file", file)]
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, *files, *arguments],
            cwd=ROOT,
            env={**self._environment, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=240,
        )
        if check and done.returncode:
            pytest.fail(f"docker compose {arguments[0]}: {done.stdout}\n{self.logs()}", pytrace=False)
        return done.stdout

    def logs(self) -> str:
        """The ends of what the containers wrote."""
        return self.run(*PROFILES, "logs", "--no-color", "--tail", "40", check=False)

    def up(self, *arguments: str) -> list[dict[str, Any]]:
        """Bring it up, and wait until all is healthy; what `compose ps` tells of each container."""
        wanted = ("--detach", "--no-build", "--wait", "--wait-timeout", "150")
        self.run(*PROFILES, "up", *wanted, *arguments)
        return self.states()

    def down(self) -> None:
        """Take it down, volumes and all."""
        self.run(*PROFILES, "down", "--volumes", "--timeout", "20", check=False)

    def states(self) -> list[dict[str, Any]]:
        """What `compose ps` tells of each container."""
        return [json.loads(line) for line in self.run("ps", "--all", "--format", "json").splitlines()]

    def address(self, service: str, port: int) -> str:
        """Where a service can be reached from here."""
        return self.run("port", service, str(port)).strip()
