"""Account, switches, plans and reset: over HTTP, through the client, and from the command line."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from simulator import (
    PROVIDERS,
    ControlClient,
    ControlError,
    ManualClock,
    Running,
    Simulator,
    SwitchError,
    running,
    samples,
)
from simulator.server import main


def test_switches_are_read_and_changed(sim: Running) -> None:
    """The control endpoint shows all switches of a provider, and changes some."""
    with ControlClient(sim.url) as control:
        for provider in PROVIDERS:
            assert control.switches(provider) == sim.switches(provider).model_dump(mode="json")
        changed = control.set_switches("myipr", duplicate_code=409)
        assert changed["duplicate_code"] == 409
    assert sim.switches("myipr").model_dump()["duplicate_code"] == 409


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"no_such_switch": 1}, "no_such_switch"), ({"duplicate_code": 418}, "duplicate_code")],
)
def test_wrong_switches_are_refused_by_name(sim: Running, changes: dict[str, int], field: str) -> None:
    """An unknown name or a wrong value changes nothing, and the error names the field."""
    before = sim.switches("myipr")
    with pytest.raises(SwitchError, match=f"myipr.{field}"):
        sim.set_switches("myipr", **changes)
    with ControlClient(sim.url) as control, pytest.raises(ControlError, match=f"myipr.{field}"):
        control.set_switches("myipr", **changes)
    with pytest.raises(SwitchError, match=f"myipr.{field}"):
        Simulator(switches={"myipr": changes})
    assert sim.switches("myipr") == before


def test_every_switch_is_described() -> None:
    """Each switch names the contract item that it decides."""
    simulator = Simulator()
    for provider in PROVIDERS:
        for name, field in type(simulator.switches(provider)).model_fields.items():
            assert field.description, f"{provider}.{name}"
            assert field.description[0].isdigit(), f"{provider}.{name}"


def test_the_client_does_what_the_object_does(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """Plans, faults, account and reset work over HTTP."""
    with ControlClient(sim.url) as control:
        assert control.base_urls == sim.base_urls
        control.plan("myipr", "master", outcome="failed", duration=3)
        number = control.fault("myipr", "500", operation="create", times=1)
        assert ipr.post("/create", json=samples.certificate_request("master")).status_code == 500
        assert control.clear_faults(number=number) == 0
        ipr.post("/create", json=samples.certificate_request("master"))
        clock.advance(3)
        assert control.account() == sim.account()
        assert control.account()["myipr"].jobs["master"].outcome == "failed"
        control.set_switches("myipr", duplicate_code=409)
        control.reset()
        assert control.account()["myipr"].jobs == {}
        assert control.switches("myipr")["duplicate_code"] == 400
        assert ipr.get("/recent-files").json()["result"] == []


def test_senseless_control_requests_are_explained(sim: Running) -> None:
    """Wrong providers, plans and bodies are a 422 with a text."""
    with ControlClient(sim.url) as control:
        with pytest.raises(ControlError, match="colour"):
            control.plan("myipr", "x", colour="red")
        with pytest.raises(ControlError, match="none of"):
            control.switches("nobody")  # type: ignore[arg-type]
        with pytest.raises(ControlError, match="kind"):
            control.fault("myipr", "explosion")
    assert httpx.post(f"{sim.url}/_control/plans", json=[]).status_code == 422


def test_health_holds_no_keys(sim: Running) -> None:
    """Health tells addresses, and none of the credentials."""
    answer = httpx.get(f"{sim.url}/_control/health")
    assert answer.json()["ready"] is True
    assert not any(key in answer.text for key in sim.keys.values())


def test_a_plan_bends_a_running_job(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """A plan made after the submission still decides a job that runs, not one that is over."""
    version = ipr.post("/create", json=samples.certificate_request("master")).json()["result"]["versionId"]
    sim.plan("myipr", "master", duration=1)
    clock.advance(1)
    assert ipr.post(f"/get-version/{version}").json()["result"]["status"] == "completed"
    sim.plan("myipr", "master", outcome="failed")
    assert sim.account()["myipr"].jobs["master"].outcome == "succeeded"


def test_a_plan_can_name_the_identifier(sim: Running, cdb: httpx.Client, clock: ManualClock) -> None:
    """commonsdb plans go by identifier, ISCC or name."""
    now_ms = round(clock() * 1000)
    bodies = {name: samples.declaration(name=name, now_ms=now_ms) for name in ("one", "two", "three")}
    public = bodies["one"]["declarationMetadata"]["publicMetadata"]
    for reference in (samples.cid_v1(public), samples.iscc("two"), "three"):
        sim.plan("commonsdb", reference, outcome="failed", duration=1)
    for body in bodies.values():
        cdb.post("/v1/declare", json=body)
    clock.advance(1)
    jobs = sim.account()["commonsdb"].jobs
    assert {job.outcome for job in jobs.values()} == {"failed"}
    assert len(jobs) == 3


def test_the_same_work_declared_twice_is_a_double(sim: Running, cdb: httpx.Client, clock: ManualClock) -> None:
    """Another moment gives another identifier, but the name gives the double away."""
    for _ in range(2):
        body = samples.declaration(name="Harbour", now_ms=round(clock() * 1000))
        cdb.post("/v1/declare", json=body)
        clock.advance(1)
    assert len(sim.account()["commonsdb"].jobs) == 2
    assert "Harbour" in sim.account()["commonsdb"].doubles


def test_the_busiest_second_is_known(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """Requests are counted in any one second, not by calendar second."""
    clock.advance(0.6)
    for count in (3, 4, 2):
        for _ in range(count):
            ipr.get("/recent-files")
        clock.advance(0.6)
    assert sim.account()["myipr"].max_per_second == 7
    assert sim.account()["myipr"].requests == {"recent_files": {"200": 9}}


def test_requests_are_known_second_by_second(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """By calendar second; one without any is left out."""
    begin = int(clock())
    for count, pause in ((3, 0.9), (1, 1.2), (2, 0.0)):
        for _ in range(count):
            ipr.get("/recent-files")
        clock.advance(pause)
    assert sim.account()["myipr"].per_second == {begin: 4, begin + 2: 2}
    assert sim.account()["lettrlabs"].per_second == {}
    with ControlClient(sim.url) as control:
        assert control.account() == sim.account()


def test_runs_can_be_repeated() -> None:
    """The same seed gives the same ids and durations, whatever came between."""

    def run(seed: int, *names: str) -> dict[str, str]:
        with running(seed=seed, now=ManualClock()) as sim:
            headers = {"Authorization": f"SECRET {sim.keys['myipr']}"}
            url = f"{sim.base_urls['myipr']}/create"
            return {
                name: httpx.post(url, json=samples.certificate_request(name), headers=headers).json()["result"][
                    "versionId"
                ]
                for name in names
            }

    assert run(1, "a", "b") == run(1, "b", "a")
    assert run(1, "a") != run(2, "a")


def test_speed_compresses_durations() -> None:
    """At speed 20 a duration of 40 simulated seconds takes 2 real ones."""
    clock = ManualClock()
    with running(now=clock, speed=20) as sim:
        sim.plan("myipr", "a", duration=40)
        headers = {"Authorization": f"SECRET {sim.keys['myipr']}"}
        body = samples.certificate_request("a")
        httpx.post(f"{sim.base_urls['myipr']}/create", json=body, headers=headers)
        clock.advance(1.9)
        assert sim.account()["myipr"].jobs["a"].outcome == "running"
        clock.advance(0.1)
        assert sim.account()["myipr"].jobs["a"].outcome == "succeeded"
    with pytest.raises(ValueError):
        Simulator(speed=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """It prints one line with its address, takes switches from a file, and ends cleanly."""
    path = tmp_path / "switches.json"
    path.write_text(json.dumps({"lettrlabs": {"success_word": "Done"}}), encoding="utf-8")
    command = [sys.executable, "-m", "simulator", "--speed", "20", "--seed", "7", "--switches", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("simulator ready on http://127.0.0.1:")
        with ControlClient(line.split()[-1]) as control:
            assert control.switches("lettrlabs")["success_word"] == "Done"
            assert control.health()["speed"] == 20
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [["--speed", "0"], ["--switches", "missing.json"], ["--switches", "list.json"], ["--switches", "odd.json"]],
)
def test_the_command_refuses_wrong_options(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    """A wrong option is a usage error with exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "odd.json").write_text('{"myipr": {"no_such": 1}}', encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "Error" in capsys.readouterr().err
