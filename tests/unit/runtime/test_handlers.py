"""Which runtimes a node has, and how containerd is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium.runtime.handlers import RUNC, Runtime, read


def test_a_file_maps_handlers_to_runtimes_and_runc_is_always_there(tmp_path: Path) -> None:
    file = tmp_path / "handlers.yaml"
    file.write_text("crun:\n  options: {BinaryName: /usr/bin/crun}\nkata: {type: io.containerd.kata.v2}\n")
    made = read(file)
    assert made.keys() == {"", "runc", "crun", "kata"}
    assert made["crun"] == Runtime(RUNC, {"BinaryName": "/usr/bin/crun"})
    assert made["kata"].packed() is None
    assert read(None).keys() == {"", "runc"}


def test_options_are_encoded_as_containerd_reads_them() -> None:
    packed = Runtime(options={"BinaryName": "/usr/bin/crun", "IoUid": 300}).packed(systemd=True)
    assert packed is not None
    assert packed.type_url == "containerd.runc.v1.Options"
    assert packed.value == b"\x20\xac\x02\x32\x0d/usr/bin/crun\x48\x01"
    other = Runtime("io.containerd.kata.v2", {"ConfigPath": "/c"}).packed(systemd=True)
    assert other is not None
    assert (other.type_url, other.value) == ("runtimeoptions.v1.Options", b"\x12\x02/c")
    assert Runtime().packed() is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "a map from handlers"),
        ("Crun: {}", "lower case"),
        ("crun: {type: crun}", "no type of a runtime"),
        ("crun: {binary: x}", "a type and options"),
        ("crun: {options: {Binary: x}}", "no option of"),
        ("crun: {options: {BinaryName: 1}}", "a str is expected"),
        ("crun: {", "handlers.yaml"),
    ],
)
def test_what_makes_no_sense_is_said_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "handlers.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=why):
        read(file)
