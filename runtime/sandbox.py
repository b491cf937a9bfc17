"""What a pod's containers share on this machine: pinned IPC, UTS and (where asked for) PID namespaces, shared
memory, and the files that say who and where the pod is.

There is no pause container. Namespaces live as long as their pins, bind mounts in RUN_DIR/pods/UID; the
network namespace is pinned by the pod network. One process is kept where `shareProcessNamespace` needs a PID
1. Everything here blocks: call it in threads. Every step can be repeated, and taken up by another daemon.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from podium.api.types import Obj
from podium.runtime import dns, mounting
from podium.runtime.config import Layout
from podium.runtime.oci import OwnUsers, PodPaths
from podium.runtime.usernamespaces import making
from podium.runtime.usernamespaces.ranges import EVERYTHING
from podium.runtime.usernamespaces.records import UserRanges

SHM_SIZE = "67108864"
_PAUSE = ("/bin/sh", "-c", "trap '' CHLD TERM INT HUP; exec sleep infinity")
COMPLETE = "complete"


class Sandboxes:
    """The sandboxes of one node's pods."""

    def __init__(
        self,
        layout: Layout,
        *,
        cluster_dns: Sequence[str],
        cluster_domain: str,
        resolv_conf: Path,
        ranges: UserRanges | None = None,
    ) -> None:
        self.layout = layout
        self._ranges = ranges or UserRanges(layout.pods, EVERYTHING)
        self._cluster_dns = cluster_dns
        self._domain = cluster_domain
        self._resolv_conf = resolv_conf

    def prepare(self, pod: Obj, handler: str = "") -> str:
        """Everything but the network; returns the sandbox's name, which is new after a reboot. `handler`
        names the runtime of its containers. Raises OSError."""
        spec, uid = pod["spec"], pod["metadata"]["uid"]
        folder, files = self.layout.sandbox(uid), self.layout.pod(uid)
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        files.mkdir(parents=True, exist_ok=True, mode=0o750)
        if own_users(pod):
            self._pin_with_users(pod, folder)
        else:
            self._pin(pod, folder)
        if spec.get("shareProcessNamespace") and not spec.get("hostPID"):
            _pin_processes(folder, folder / "user" if own_users(pod) else None)
        if not spec.get("hostIPC"):
            _shared_memory(folder / "shm")
        host = dns.parse(_text(self._resolv_conf))
        wanted = dns.resolver(pod, host, servers=self._cluster_dns, domain=self._domain)
        (files / "resolv.conf").write_text(str(wanted))
        (files / "hostname").write_text(f"{self.hostname(pod)}\n")
        (folder / "handler").write_text(handler)
        return self._name(folder)

    def _pin(self, pod: Obj, folder: Path) -> None:
        """Makes the namespaces that are not the host's and not pinned yet."""
        spec = pod["spec"]
        flags = 0
        pins: dict[str, Path] = {}
        wanted = (("ipc", mounting.CLONE_NEWIPC, "hostIPC"), ("uts", mounting.CLONE_NEWUTS, "hostNetwork"))
        for kind, flag, with_host in wanted:
            pin = folder / kind
            if spec.get(with_host) or os.path.ismount(pin):
                continue
            pin.touch()
            flags |= flag
            pins[kind] = pin
        if flags:
            name = self.hostname(pod) if "uts" in pins else ""
            mounting.in_new_namespaces(flags, pins, hostname=name)

    def _pin_with_users(self, pod: Obj, folder: Path) -> None:
        """Makes the pod's users, and namespaces that are theirs; the pod network finds its own already
        there."""
        uid = pod["metadata"]["uid"]
        making.make(folder / "user", self._ranges.take(uid))
        pins = {"net": self.layout.netns(uid), "ipc": folder / "ipc", "uts": folder / "uts"}
        making.make_within(folder / "user", pins, hostname=self.hostname(pod))

    def _name(self, folder: Path) -> str:
        """Names this set of namespaces, which does not outlive the boot."""
        if not self._named(folder):
            (folder / "name").write_text(f"{uuid.uuid4().hex} {_boot()}")
        return self._named(folder)

    def renew(self, uid: str) -> str:
        """The same namespaces under a new name: all of the pod's containers begin again. Raises OSError."""
        folder = self.layout.sandbox(uid)
        name, _, rounds = self._named(folder).partition(".")
        scratch = folder / "name.new"
        scratch.write_text(f"{name}.{int(rounds or 0) + 1} {_boot()}")
        scratch.rename(folder / "name")
        return self._named(folder)

    def _named(self, folder: Path) -> str:
        name, _, boot = _text(folder / "name").partition(" ")
        return name if boot == _boot() else ""

    def name(self, uid: str) -> str:
        """The name of the sandbox that exists, "" if none does or a daemon died while it made it."""
        folder = self.layout.sandbox(uid)
        return self._named(folder) if (folder / COMPLETE).exists() else ""

    def handler(self, uid: str) -> str:
        """The runtime of the pod's containers: it stays, whatever becomes of the RuntimeClass."""
        return _text(self.layout.sandbox(uid) / "handler")

    def hostname(self, pod: Obj) -> str:
        if pod["spec"].get("hostNetwork"):
            return socket.gethostname()
        if pod["spec"].get("setHostnameAsFQDN"):
            return dns.node_name(pod, self._domain)
        return dns.hostname(pod)

    def connect(self, pod: Obj, ips: Sequence[str]) -> None:
        """The last step: writes the hosts file, once the addresses are known."""
        on_host = bool(pod["spec"].get("hostNetwork"))
        host_file = _text(Path("/etc/hosts")) if on_host else None
        content = dns.hosts(pod, ips, self._domain, host_file=host_file)
        uid = pod["metadata"]["uid"]
        (self.layout.pod(uid) / "hosts").write_text(content)
        (self.layout.sandbox(uid) / COMPLETE).touch()

    def paths(self, pod: Obj) -> PodPaths:
        """Where the pod's containers find everything. Raises OSError."""
        spec, uid = pod["spec"], pod["metadata"]["uid"]
        folder, files = self.layout.sandbox(uid), self.layout.pod(uid)
        on_host = bool(spec.get("hostNetwork"))
        shared = bool(spec.get("shareProcessNamespace")) and not spec.get("hostPID")
        return PodPaths(
            network="" if on_host else str(self.layout.netns(uid)),
            ipc="" if spec.get("hostIPC") else str(folder / "ipc"),
            uts="" if on_host else str(folder / "uts"),
            pid=str(folder / "pid") if shared else "",
            shm="/dev/shm" if spec.get("hostIPC") else str(folder / "shm"),
            hosts=str(files / "hosts"),
            resolv_conf=str(files / "resolv.conf"),
            hostname=str(files / "hostname"),
            users=OwnUsers(str(folder / "user"), self._ranges.take(uid)) if own_users(pod) else None,
        )

    def release(self, uid: str) -> None:
        """Unpins the namespaces and forgets shared memory and FIFOs. Idempotent."""
        folder = self.layout.sandbox(uid)
        if not folder.exists():
            return
        _end_pause(folder)
        for pin in ("ipc", "uts", "pid", "user", "shm"):
            mounting.unmount(folder / pin)
        shutil.rmtree(folder)

    def remove_files(self, pod: Obj) -> None:
        """Removes the pod's logs and files: these last, since they are what tells the next daemon of a pod
        that is still to be removed, whose name it may not know any more. Idempotent."""
        uid = pod["metadata"]["uid"]
        for folder in (*self.layout.log_dir.glob(f"*_{uid}"), self.layout.pod(uid)):
            remove_tree(folder)

    def known(self) -> set[str]:
        """Uids of the pods that have a sandbox or files here."""
        return {
            entry.name
            for folder in (self.layout.sandboxes, self.layout.pods)
            if folder.is_dir()
            for entry in folder.iterdir()
        }


def own_users(pod: Obj) -> bool:
    """Whether a pod's users are none of the host's."""
    return pod["spec"].get("hostUsers") is False


def remove_tree(folder: Path) -> None:
    """Removes a folder, and only it: what is still mounted in it belongs to somebody else. Idempotent."""
    for inner in mounting.mounts_below(folder):
        mounting.unmount(inner)
    if folder.exists():
        shutil.rmtree(folder)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _boot() -> str:
    return _text(Path("/proc/sys/kernel/random/boot_id")).strip()


def _shared_memory(path: Path) -> None:
    if os.path.ismount(path):
        return
    path.mkdir(exist_ok=True)
    flags = mounting.MS_NOSUID | mounting.MS_NODEV | mounting.MS_NOEXEC
    mounting.mount("shm", str(path), "tmpfs", flags, f"mode=1777,size={SHM_SIZE}")


def _pin_processes(folder: Path, users: Path | None) -> None:
    """A PID namespace, of the user namespace pinned at `users` if that is given, and the process that keeps
    it. Orphans that it inherits are reaped by the kernel, since it ignores their end; it is SIGKILLed with
    the sandbox."""
    pin = folder / "pid"
    if os.path.ismount(pin) and _pause_pid(folder):
        return
    mounting.unmount(pin)
    pin.touch()
    if users is not None:
        pid = making.start_within(users, _PAUSE)
        (folder / "pause").write_text(f"{pid} {_start_time(pid)}")
        mounting.mount(f"/proc/{pid}/ns/pid", str(pin), flags=mounting.MS_BIND)
        return

    def start() -> None:
        mounting.unshare(mounting.CLONE_NEWPID)
        child = subprocess.Popen(
            _PAUSE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        (folder / "pause").write_text(f"{child.pid} {_start_time(child.pid)}")
        mounting.mount(f"/proc/{child.pid}/ns/pid", str(pin), flags=mounting.MS_BIND)

    mounting.apart(start)


def _start_time(pid: int) -> str:
    """Tells a process from another that has got its pid later; "" when there is none."""
    text = _text(Path(f"/proc/{pid}/stat"))
    return text.rpartition(")")[2].split()[19] if text else ""


def _pause_pid(folder: Path) -> int:
    pid, _, started = _text(folder / "pause").partition(" ")
    return int(pid) if pid and started == _start_time(int(pid)) else 0


def _end_pause(folder: Path) -> None:
    pid = _pause_pid(folder)
    if not pid:
        return
    os.kill(pid, signal.SIGKILL)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return  # the child of an earlier daemon
