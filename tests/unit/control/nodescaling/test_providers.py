"""One contract, every provider."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from podium.control.nodescaling.command import CommandProvider
from podium.control.nodescaling.commands import run
from podium.control.nodescaling.local import LocalProvider
from podium.control.nodescaling.provider import Provider, ProviderError
from tests.unit.control.nodescaling.memory import MemoryProvider

EXAMPLE = Path(__file__).parents[4] / "examples" / "node-provider.py"
# As far as the provider sees, `podium node add` and `podium node rm`.
PODIUM = """\
import json, pathlib, sys
_, noun, verb, *rest = sys.argv
assert noun == "node", sys.argv
folder = pathlib.Path(rest[rest.index("--data-dir") + 1]) / "nodes"
if verb == "add":
    name = f"podium-{len(list(folder.glob('*'))) + 2}"
    (folder / name).mkdir(parents=True)
    (folder / name / "node.json").write_text("{}")
    print(json.dumps({"name": name, "address": "10.89.0.2"}))
else:
    (folder / rest[0] / "node.json").unlink()
    (folder / rest[0]).rmdir()
    print(json.dumps({"name": rest[0]}))
"""


@pytest.fixture(params=["memory", "command", "local"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Provider:
    if request.param == "memory":
        return MemoryProvider()
    if request.param == "command":
        return CommandProvider([sys.executable, str(EXAMPLE), "--state", str(tmp_path / "machines")])
    program = tmp_path / "podium.py"
    program.write_text(PODIUM)
    return LocalProvider(
        [sys.executable, str(program)], ["--data-dir", str(tmp_path)], tmp_path / "nodes", "first", 1, 5
    )


async def test_what_was_added_is_listed_and_what_was_removed_is_not(provider: Provider) -> None:
    [before] = await provider.groups()
    assert 0 <= before.least <= before.most
    names = await provider.add(before.name, 2)
    assert len(set(names)) == 2
    [after] = await provider.groups()
    assert set(after.nodes) == {*before.nodes, *names}
    await provider.remove(after.name, names[0])
    [last] = await provider.groups()
    assert set(last.nodes) == {*before.nodes, names[1]}


async def test_removing_twice_is_no_error(provider: Provider) -> None:
    [group] = await provider.groups()
    [name] = await provider.add(group.name, 1)
    await provider.remove(group.name, name)
    await provider.remove(group.name, name)


async def test_a_template_says_what_a_node_can_hold(provider: Provider) -> None:
    [group] = await provider.groups()
    template = await provider.template(group.name)
    assert template is None or {"cpu", "memory"} <= template.allocatable.keys()


async def test_a_machine_that_is_the_server_itself_stays(tmp_path: Path) -> None:
    local = LocalProvider(["false"], [], tmp_path, "first", 1, 3)
    [group] = await local.groups()
    assert group.fixed == ("first",)
    with pytest.raises(ProviderError, match="the machine itself"):
        await local.remove("local", "first")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('echo \'{"error": "quota exceeded"}\'; exit 1', "quota exceeded"),
        ("echo no such luck >&2; exit 3", "no such luck"),
        ("exit 3", "exit code 3"),
        ("echo hello", "answered no JSON"),
        ("echo []", "answered no object"),
        ("sleep 30", "no answer within 0 s"),
    ],
)
async def test_a_program_that_fails_says_why(script: str, message: str) -> None:
    with pytest.raises(ProviderError, match=message):
        await run(["sh", "-c", script], {"verb": "list"}, 0.4)


async def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ProviderError, match="No such file"):
        await run(["/nothing/here"], {}, 1)


@pytest.mark.parametrize(
    "answer", ["{}", '{"groups": [{"name": "a"}]}', '{"groups": [{"name": "a", "min": 5, "max": 2}]}']
)
async def test_a_list_that_makes_no_sense_is_an_error(answer: str) -> None:
    provider = CommandProvider(["sh", "-c", f"echo '{answer}'"])
    with pytest.raises(ProviderError, match="bad answer"):
        await provider.groups()
