"""The machine goes down: the plan, and a real node on a bus of its own with a logind of the test's."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusStr, DBusUInt64, DBusUnixFd
from dbus_fast.constants import PropertyAccess
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

from podium.api.types import Obj
from podium.api.types.resources import EVENTS, NODES
from podium.runtime.shutdown import plan
from podium.runtime.shutdown.logind import Logind
from podium.runtime.shutdown.plan import BadShutdown, Share, Shutdown
from tests.unit.runtime.conftest import needs_root
from tests.unit.runtime.world import World, ready

CRITICAL = plan.SYSTEM_CRITICAL


def prioritized(name: str, priority: int | None, grace: int = 30) -> Obj:
    spec: Obj = {"terminationGracePeriodSeconds": grace}
    return {"metadata": {"name": name}, "spec": spec if priority is None else {**spec, "priority": priority}}


def test_critical_pods_come_last_and_have_their_own_time() -> None:
    pods = [prioritized("critical", CRITICAL + 1000), prioritized("a", 0), prioritized("b", None)]
    found = plan.turns(pods, Shutdown(grace=30, critical=10).planned())
    assert [(turn.seconds, [pod["metadata"]["name"] for pod in turn.pods]) for turn in found] == [
        (20, ["a", "b"]),
        (10, ["critical"]),
    ]


def test_a_pod_belongs_to_the_highest_share_that_it_reaches_or_to_the_first() -> None:
    shares = Shutdown(shares=plan.parsed("1000=60,10=20,100=5")).planned()
    pods = [prioritized(str(priority), priority) for priority in (-5, 10, 99, 100, 1000, 5000)]
    found = plan.turns(pods, shares)
    assert [(turn.seconds, [pod["metadata"]["name"] for pod in turn.pods]) for turn in found] == [
        (20, ["-5", "10", "99"]),
        (5, ["100"]),
        (60, ["1000", "5000"]),
    ]


def test_no_pod_gets_more_than_its_turn_nor_than_it_asked_for() -> None:
    assert plan.grace(prioritized("p", 0, 60), 20) == 20
    assert plan.grace(prioritized("p", 0, 3), 20) == 3
    assert plan.grace({"spec": {}}, 40) == 30


@pytest.mark.parametrize(
    "settings",
    [
        Shutdown(grace=10, critical=20),
        Shutdown(grace=-1),
        Shutdown(grace=10, shares=(Share(0, 5),)),
        Shutdown(shares=(Share(0, -5),)),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: Shutdown) -> None:
    with pytest.raises(BadShutdown):
        settings.planned()


def test_a_share_that_is_none_is_named() -> None:
    with pytest.raises(BadShutdown, match="'x=1': write PRIORITY=SECONDS"):
        plan.parsed("0=1,x=1")


class FakeLogind(ServiceInterface):
    """Notes who holds shutdowns back. `longest` is in microseconds."""

    def __init__(self, longest: int) -> None:
        super().__init__("org.freedesktop.login1.Manager")
        self.longest = longest
        self.held: list[tuple[str, ...]] = []
        self.holding = self.given = -1

    @dbus_property(access=PropertyAccess.READ, name="InhibitDelayMaxUSec")
    def longest_delay(self) -> DBusUInt64:
        return self.longest

    @dbus_method(name="Inhibit")
    def inhibit(self, what: DBusStr, who: DBusStr, why: DBusStr, mode: DBusStr) -> DBusUnixFd:
        self.held.append((what, mode))
        self.holding, self.given = os.pipe()
        return self.given

    @dbus_signal(name="PrepareForShutdown")
    def prepare(self, begins: bool) -> DBusBool:
        return begins

    async def released(self) -> None:
        """Returns when whoever held has let go."""
        os.close(self.given)
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.holding, gone.set)
        async with asyncio.timeout(30):
            await gone.wait()
        loop.remove_reader(self.holding)


@pytest.fixture
async def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon")
    config, address = tmp_path / "bus.conf", f"unix:path={tmp_path}/bus"
    config.write_text(
        f"<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>"
        '<policy context="default"><allow send_destination="*" eavesdrop="true"/>'
        '<allow eavesdrop="true"/><allow own="*"/>'
        '<allow user="*"/></policy></busconfig>'
    )
    daemon = await asyncio.create_subprocess_exec(
        "dbus-daemon", f"--config-file={config}", "--nofork", "--print-address",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert daemon.stdout is not None
    await daemon.stdout.readline()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    yield address
    daemon.kill()
    await daemon.wait()


@pytest.fixture
async def logind(bus: str) -> AsyncIterator[FakeLogind]:
    served, fake = await MessageBus(bus_address=bus, negotiate_unix_fd=True).connect(), FakeLogind(60_000_000)
    served.export("/org/freedesktop/login1", fake)
    await served.request_name("org.freedesktop.login1")
    yield fake
    served.disconnect()


async def test_a_machine_is_held_back_until_it_is_let_go(bus: str, logind: FakeLogind) -> None:
    holder = Logind(bus)
    release = await holder.hold(5)
    assert logind.held == [("shutdown", "delay")]
    logind.prepare(True)
    async for begins in holder.signals():
        assert begins
        break
    release()
    await logind.released()
    await holder.close()


async def test_without_a_bus_nothing_is_held() -> None:
    with pytest.raises(OSError, match="No such file"):
        await Logind("unix:path=/nonexistent/bus").hold(5)


@needs_root
async def test_pods_end_in_their_order_when_the_machine_goes_down(world: World, logind: FakeLogind) -> None:
    await world.stop()
    world.config = replace(world.config, shutdown=Shutdown(grace=20, critical=10))
    await world.start()
    obeys = "trap 'exit 0' TERM; while true; do sleep 0.05; done"
    await world.run("plain", "sh", "-c", obeys)
    await world.run("critical", "sh", "-c", obeys, spec={"priorityClassName": "system-node-critical"})
    for name in ("plain", "critical"):
        await world.until(name, ready)
    logind.prepare(True)
    await logind.released()
    ends = {}
    for name in ("plain", "critical"):
        of = await world.until(name, lambda pod: pod["status"]["phase"] == "Failed")
        status = of["status"]
        assert (status["reason"], status["message"]) == ("Terminated", plan.MESSAGE)
        (condition,) = [each for each in status["conditions"] if each["type"] == "DisruptionTarget"]
        assert (condition["status"], condition["reason"]) == ("True", "TerminationByKubelet")
        ends[name] = status["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
    assert ends["plain"] <= ends["critical"]
    await world.run("late", "sleep", "1000")
    late = await world.until("late", lambda pod: pod["status"]["phase"] == "Failed")
    assert late["status"]["reason"] == "NodeShutdown"
    assert late["status"]["message"] == "Pod was rejected: Pod was rejected as the node is shutting down."
    node = await world.client.get(NODES, "n1")
    (condition,) = [each for each in node["status"]["conditions"] if each["type"] == "Ready"]
    assert (condition["status"], condition["message"]) == ("False", "node is shutting down")
    await world.daemon.recorder.flush()
    events = {each["reason"] for each in (await world.client.list(EVENTS, "default")).items}
    assert {"Starting", "NodeHasSufficientMemory", "NodeReady", "Shutdown", "NodeNotReady"} <= events
