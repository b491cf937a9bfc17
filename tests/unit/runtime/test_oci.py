"""What a container becomes for the OCI runtime."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from podium.api.types import Obj
from podium.runtime.oci import ContainerInput, PodPaths, build, seccomp
from podium.runtime.oci.confinement import APP_ARMOR_ANNOTATION, apparmor, wants_apparmor
from podium.runtime.oci.env import EnvSources, environment, expand, service_variables, wanted
from podium.runtime.oci.errors import ConfigError
from podium.runtime.oci.resources import (
    effective,
    huge_pages,
    linux_resources,
    oom_score_adj,
    pod_resources,
    qos_class,
)
from podium.runtime.oci.security import CAPABILITIES, names_of, security
from podium.runtime.oci.users import Accounts, User, read_accounts, resolve
from tests.unit.runtime.making import IMAGE, container, pod

ALL = frozenset(CAPABILITIES)
PATHS = PodPaths("/net", "/ipc", "/uts", "", "/shm", "/hosts", "/resolv", "/hostname")
ACCOUNTS = Accounts(
    (("root", "x", "0", "0"), ("alice", "x", "1234", "2345")),
    (("root", "x", "0", ""), ("users", "x", "2345", ""), ("band", "x", "3456", "bob,alice")),
)


def spec(of: Obj, **more: Any) -> Obj:
    given = ContainerInput(
        pod=of,
        container=of["spec"]["containers"][0],
        image=IMAGE,
        env={},
        user=User(0, 0),
        paths=PATHS,
        cgroup="/kubepods/x",
        available=ALL,
        termination_log="/term",
    )
    return build(replace(given, **more))


def mount_at(made: Obj, path: str) -> Obj:
    return next(dict(each) for each in reversed(made["mounts"]) if each["destination"] == path)


# Environment


def cm(**data: str) -> Obj:
    return {"data": data}


def secret(**data: str) -> Obj:
    return {"data": {name: b64encode(value.encode()).decode() for name, value in data.items()}}


def test_variables_come_from_everywhere_and_later_ones_win() -> None:
    of = container(
        envFrom=[{"prefix": "P_", "configMapRef": {"name": "m"}}, {"secretRef": {"name": "s"}}],
        env=[
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)-$(P_x)-$(NONE)-$$(A)"},
            {"name": "y", "value": "mine"},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "x"}}},
            {"name": "D", "valueFrom": {"secretKeyRef": {"name": "s", "key": "y"}}},
            {"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "G", "value": "$(SVC_SERVICE_HOST)"},
        ],
    )
    sources = EnvSources(
        config_maps={"m": cm(x="from map")},
        secrets={"s": secret(y="hidden")},
        services={"SVC_SERVICE_HOST": "10.43.0.9"},
        pod_ips=("10.42.0.5",),
    )
    assert environment(pod(of, meta={"labels": {"app": "web"}}), of, sources) == {
        "P_x": "from map",
        "y": "mine",
        "A": "1",
        "B": "1-from map-$(NONE)-$(A)",
        "C": "from map",
        "D": "hidden",
        "E": "10.42.0.5",
        "F": "web",
        "G": "10.43.0.9",
        "SVC_SERVICE_HOST": "10.43.0.9",
    }
    assert wanted(of) == ({"m"}, {"s"})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "x"}}]}, 'configmap "x" not found'),
        ({"envFrom": [{"secretRef": {"name": "x"}}]}, 'secret "x" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}]},
            "couldn't find key k in ConfigMap default/m",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}}]},
            'secret "x" not found',
        ),
    ],
)
def test_what_is_missing_is_named(entry: Obj, message: str) -> None:
    of = container(**entry)
    with pytest.raises(ConfigError, match=message):
        environment(pod(of), of, EnvSources(config_maps={"m": cm()}))


def test_what_is_missing_and_optional_is_left_out() -> None:
    of = container(
        envFrom=[{"secretRef": {"name": "x", "optional": True}}],
        env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "k", "optional": True}}}],
    )
    assert environment(pod(of), of, EnvSources()) == {}


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.cpu"}, "1"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "250"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "requests.cpu"}, "0"),
        ({"resource": "limits.ephemeral-storage"}, "7"),
    ],
)
def test_resource_fields_are_counted_in_divisors_and_rounded_up(reference: Obj, value: str) -> None:
    variable = {"name": "A", "valueFrom": {"resourceFieldRef": reference}}
    of = container(resources={"limits": {"cpu": "250m", "memory": "64Mi"}}, env=[variable])
    sources = EnvSources(allocatable={"ephemeral-storage": "7"})
    assert environment(pod(of), of, sources) == {"A": value}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$(B)", "$(B)"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("a$", "a$"),
        ("$$$(A)", "$1"),
    ],
)
def test_references_are_expanded(text: str, made: str) -> None:
    assert expand(text, {"A": "1"}.get) == made


def service(name: str, namespace: str, ip: str, *ports: Obj) -> Obj:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": ip, "ports": list(ports)},
    }


def test_services_of_the_namespace_become_variables() -> None:
    services = [
        service("kubernetes", "default", "10.43.0.1", {"port": 443, "name": "https"}),
        service("my-db", "ns", "10.43.0.7", {"port": 5432, "protocol": "TCP"}),
        service("headless", "ns", "None", {"port": 1}),
        service("other", "elsewhere", "10.43.0.8", {"port": 1}),
    ]
    made = service_variables(services, "ns", True)
    assert made["MY_DB_SERVICE_HOST"] == "10.43.0.7"
    assert made["MY_DB_PORT_5432_TCP"] == "tcp://10.43.0.7:5432"
    assert made["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert not any(name.startswith(("HEADLESS", "OTHER")) for name in made)
    assert not any(name.startswith("MY_DB") for name in service_variables(services, "ns", False))


# Process


@pytest.mark.parametrize(
    ("own", "entrypoint", "command", "line"),
    [
        ({}, ("e",), ("c",), ["e", "c"]),
        ({"args": ["a"]}, ("e",), ("c",), ["e", "a"]),
        ({"command": ["x"]}, ("e",), ("c",), ["x"]),
        ({"command": ["x"], "args": ["$(A)"]}, ("e",), ("c",), ["x", "1"]),
    ],
)
def test_the_command_line_is_the_pods_before_the_images(
    own: Obj, entrypoint: tuple[str, ...], command: tuple[str, ...], line: list[str]
) -> None:
    image = replace(IMAGE, entrypoint=entrypoint, command=command)
    assert spec(pod(container(**own)), image=image, env={"A": "1"})["process"]["args"] == line


def test_a_container_without_any_command_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match="no command specified") as failure:
        spec(pod(), image=replace(IMAGE, command=()))
    assert failure.value.reason == "CreateContainerError"


def test_the_pods_variables_cover_the_images() -> None:
    image = replace(IMAGE, env=("PATH=/img", "X=img"))
    env = spec(pod(), image=image, env={"X": "pod"}, hostname="p")["process"]["env"]
    assert env == ["PATH=/img", "HOSTNAME=p", "X=pod"]


# Users


@pytest.mark.parametrize(
    ("context", "own", "image_user", "user"),
    [
        ({}, {}, "", User(0, 0, (0,))),
        ({}, {}, "alice", User(1234, 2345, (2345, 3456))),
        ({}, {}, "alice:band", User(1234, 3456, (3456,))),
        ({}, {}, "77", User(77, 0, (0,))),
        ({}, {}, "77:88", User(77, 88, (88,))),
        ({"runAsUser": 1234}, {}, "root", User(1234, 2345, (2345, 3456))),
        ({"runAsUser": 5, "fsGroup": 9}, {"runAsUser": 6, "runAsGroup": 7}, "", User(6, 7, (7, 9))),
        ({"supplementalGroups": [4, 5]}, {}, "", User(0, 0, (0, 4, 5))),
        ({"supplementalGroupsPolicy": "Strict", "runAsUser": 1234}, {}, "", User(1234, 2345, (2345,))),
    ],
)
def test_the_user_is_the_containers_the_pods_or_the_images(
    context: Obj, own: Obj, image_user: str, user: User
) -> None:
    of = container(securityContext=own)
    assert resolve(pod(of, securityContext=context), of, image_user, ACCOUNTS) == user


@pytest.mark.parametrize(
    ("own", "image_user", "message"),
    [
        ({"runAsNonRoot": True}, "", "container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True}, "alice", r"non-numeric user \(alice\)"),
        ({"runAsNonRoot": True, "runAsUser": 0}, "1", "runAsUser breaks non-root policy"),
        ({}, "nobody", "unable to find user nobody"),
    ],
)
def test_forbidden_and_unknown_users_are_refused(own: Obj, image_user: str, message: str) -> None:
    of = container(securityContext=own)
    with pytest.raises(ConfigError, match=message):
        resolve(pod(of), of, image_user, ACCOUNTS)


def test_accounts_are_read_from_the_topmost_layer_that_has_them(tmp_path: Path) -> None:
    for layer, name in (("upper", "new"), ("lower", "old")):
        (tmp_path / layer / "etc").mkdir(parents=True)
        (tmp_path / layer / "etc/passwd").write_text(f"{name}:x:1:2::/:/bin/sh\n# nonsense\n")
    (tmp_path / "lower/etc/group").write_text("g:x:7:new\n")
    accounts = read_accounts([str(tmp_path / "upper"), str(tmp_path / "lower")])
    assert accounts.passwd[0][0] == "new"
    assert accounts.group == (("g", "x", "7", "new"),)


def test_a_passwd_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/etc/passwd")
    assert read_accounts([str(tmp_path)]).passwd == ()


# Resources


def with_resources(requests: Obj | None = None, limits: Obj | None = None) -> Obj:
    return container(resources={"requests": requests or {}, "limits": limits or {}})


@pytest.mark.parametrize(
    ("requests", "limits", "made"),
    [
        ({}, {}, {"cpu": {"shares": 2, "period": 100000}}),
        ({"cpu": "500m"}, {}, {"cpu": {"shares": 512, "period": 100000}}),
        ({}, {"cpu": "250m"}, {"cpu": {"shares": 256, "period": 100000, "quota": 25000}}),
        (
            {"cpu": "0"},
            {"cpu": "1m", "memory": "1Mi"},
            {"cpu": {"shares": 2, "period": 100000, "quota": 1000}, "memory": {"limit": 1048576}},
        ),
    ],
)
def test_requests_become_shares_and_limits_quotas(requests: Obj, limits: Obj, made: Obj) -> None:
    assert linux_resources(with_resources(requests, limits)) == made
    together = {"memory.oom.group": "1", "memory.swap.max": "0"}
    assert linux_resources(with_resources(requests, limits), cgroup_v2=True) == {**made, "unified": together}


@pytest.mark.parametrize(
    ("requests", "limits", "qos"),
    [
        ({}, {}, "BestEffort"),
        ({"cpu": "1"}, {}, "Burstable"),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}, "Guaranteed"),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "2", "memory": "1Gi"}, "Burstable"),
        ({}, {"cpu": "1", "memory": "1Gi"}, "Guaranteed"),
        ({"ephemeral-storage": "1Gi"}, {}, "BestEffort"),
    ],
)
def test_requests_and_limits_make_the_quality_of_service(requests: Obj, limits: Obj, qos: str) -> None:
    assert qos_class(pod(with_resources(requests, limits))) == qos


@pytest.mark.parametrize(
    ("requests", "limits", "floor", "score"),
    [
        ({}, {}, -1000, 1000),
        ({"memory": "1Gi"}, {}, -1000, 750),
        ({"memory": "4Gi"}, {}, -1000, 3),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}, -1000, -997),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}, 100, 100),
    ],
)
def test_the_oom_score_follows_the_memory_asked_for(
    requests: Obj, limits: Obj, floor: int, score: int
) -> None:
    of = pod(with_resources(requests, limits))
    assert oom_score_adj(of, of["spec"]["containers"][0], 4 * 2**30, floor=floor) == score


def test_a_pod_has_limits_only_if_all_its_containers_have() -> None:
    limited = with_resources({}, {"cpu": "1", "memory": "1Gi"})
    both = pod_resources(pod(limited, {**limited, "name": "d"}))
    assert both == {"shares": 2, "quota": 200000, "memory": 2 * 2**30}
    assert pod_resources(pod(limited, container("d"))) == {"shares": 2}


def test_what_a_pod_asks_for_as_a_whole_counts_before_its_containers_and_overhead_on_top() -> None:
    own = with_resources({"cpu": "100m", "memory": "10Mi"}, {"memory": "20Mi"})
    whole = {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "128Mi"}}
    of = pod(own, container("d"), resources=whole, overhead={"cpu": "100m", "memory": "1Mi"})
    assert qos_class(of) == "Burstable"
    assert pod_resources(of) == {"shares": 1126, "quota": 210000, "memory": 129 << 20}
    first, second = of["spec"]["containers"]
    assert effective(of, first)["limits"] == {"cpu": "2", "memory": "20Mi"}
    assert effective(of, second) == {"limits": {"cpu": "2", "memory": "128Mi"}}
    # The 54 MiB that no container asks for are counted as theirs, in equal parts.
    assert oom_score_adj(of, second, 270 << 20, floor=-1000) == 1000 - 100
    sure = pod(container(), resources={key: {"cpu": "1", "memory": "1Mi"} for key in ("requests", "limits")})
    assert qos_class(sure) == "Guaranteed"


def test_containers_get_no_huge_pages_but_those_they_ask_for() -> None:
    asking = with_resources({}, {"hugepages-2Mi": "4Mi", "memory": "1Gi"})
    assert huge_pages(asking, ("1GB", "2MB")) == [
        {"pageSize": "1GB", "limit": 0},
        {"pageSize": "2MB", "limit": 4 << 20},
    ]
    assert pod_resources(pod(asking))["huge"] == {"2MB": 4 << 20}


# Security


def test_capabilities_are_added_and_dropped() -> None:
    def chosen(**asked: list[str]) -> set[str]:
        of = container(securityContext={"capabilities": asked})
        return set(security(pod(of), of, ALL).capabilities["effective"])

    assert "CAP_NET_ADMIN" in chosen(add=["NET_ADMIN"])
    assert "CAP_CHOWN" not in chosen(drop=["CHOWN"])
    assert chosen(drop=["ALL"], add=["CAP_NET_BIND_SERVICE"]) == {"CAP_NET_BIND_SERVICE"}
    assert chosen(add=["ALL"]) == {f"CAP_{name}" for name in ALL}


def test_a_privileged_container_gets_what_the_daemon_has_and_no_more() -> None:
    of = container(securityContext={"privileged": True})
    made = security(pod(of), of, frozenset({"CHOWN", "SYS_ADMIN"}))
    assert made.capabilities["effective"] == ["CAP_CHOWN", "CAP_SYS_ADMIN"]
    assert (made.masked, made.readonly) == ((), ())
    rules = spec(pod(of))["linux"]["resources"]["devices"]
    assert rules == [{"allow": True, "access": "rwm"}]


def test_the_default_profile_allows_what_is_listed_and_what_a_capability_opens() -> None:
    def allowed(**context: Any) -> set[str]:
        of = container(securityContext={"seccompProfile": {"type": "RuntimeDefault"}, **context})
        profile = security(pod(of), of, ALL).seccomp
        assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
        rules = (each for each in profile["syscalls"] if each["action"] == "SCMP_ACT_ALLOW")
        return {name for rule in rules for name in rule["names"]}

    plain = allowed()
    assert {"read", "clone", "chroot", "socket", "personality"} <= plain
    assert not {"mount", "bpf", "keyctl", "clone3", "io_uring_setup", "userfaultfd", "unheard_of"} & plain
    assert {"mount", "clone3", "setns"} <= allowed(capabilities={"add": ["SYS_ADMIN"]})
    assert "chroot" not in allowed(capabilities={"drop": ["ALL"]})
    assert security(pod(), container(), ALL).seccomp == {}


def test_a_profile_of_the_machine_is_taken_as_it_is_and_refused_when_it_is_none(tmp_path: Path) -> None:
    good = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    (tmp_path / "good.json").write_bytes(orjson.dumps({**good, "unknown": 1}))
    (tmp_path / "bad.json").write_text('{"syscalls": 1}')
    (tmp_path / "worse.json").write_text("no json")
    assert seccomp.read(tmp_path, "good.json") == good
    asks = {"type": "Localhost", "localhostProfile": "good.json"}
    of = container(securityContext={"seccompProfile": asks})
    assert security(pod(of), of, ALL, good).seccomp == good
    for name, why in (
        ("missing.json", "no such file or directory"),
        ("bad.json", "defaultAction"),
        ("worse.json", "decoding"),
        ("../up.json", "leads out of"),
    ):
        with pytest.raises(ConfigError, match=why) as caught:
            seccomp.read(tmp_path, name)
        assert caught.value.reason == "CreateContainerError"


def test_who_is_confined_by_apparmor_is_said_in_fields_and_in_annotations() -> None:
    of = container()
    noted = pod(of)
    noted["metadata"]["annotations"] = {f"{APP_ARMOR_ANNOTATION}{of['name']}": "localhost/mine"}
    assert apparmor(noted, of) == {"type": "Localhost", "localhostProfile": "mine"}
    assert wants_apparmor(noted)
    own = container(securityContext={"appArmorProfile": {"type": "Unconfined"}})
    assert not wants_apparmor(pod(own, securityContext={"appArmorProfile": {"type": "RuntimeDefault"}}))
    assert apparmor(pod(of), of) is None


def test_capability_names_follow_the_kernels_bits() -> None:
    assert names_of(1 << 24 | 1) == {"CHOWN", "SYS_RESOURCE"}


# The whole


def test_the_pods_namespaces_are_joined_by_path() -> None:
    assert spec(pod())["linux"]["namespaces"] == [
        {"type": "mount"},
        {"type": "network", "path": "/net"},
        {"type": "ipc", "path": "/ipc"},
        {"type": "uts", "path": "/uts"},
        {"type": "pid"},
        {"type": "cgroup"},
    ]


def test_the_hosts_namespaces_are_not_named() -> None:
    made = spec(pod(hostPID=True), paths=replace(PATHS, network=""))
    assert [each["type"] for each in made["linux"]["namespaces"]] == ["mount", "ipc", "uts", "cgroup"]


def test_containers_of_a_pod_share_a_shim() -> None:
    assert set(spec(pod())["annotations"].values()) == {"uid-p"}


def test_volumes_are_mounted_parents_first_with_their_propagation() -> None:
    mounts = [
        {"name": "b", "mountPath": "/a/b", "readOnly": True},
        {"name": "a", "mountPath": "/a", "mountPropagation": "HostToContainer"},
    ]
    of = pod(container(volumeMounts=mounts))
    made = spec(of, sources={"/a": ("/vol/a", False), "/a/b": ("/vol/b", False)})
    assert [each["destination"] for each in made["mounts"][-2:]] == ["/a", "/a/b"]
    assert mount_at(made, "/a")["options"] == ["rbind", "rslave", "rw"]
    assert mount_at(made, "/a/b")["options"] == ["rbind", "rprivate", "ro"]
    assert made["linux"]["rootfsPropagation"] == "rslave"


@pytest.mark.parametrize("wanted", ["Enabled", "IfPossible"])
def test_a_mount_is_read_only_with_all_below_it_where_asked_for(wanted: str) -> None:
    mounts = [{"name": "a", "mountPath": "/a", "readOnly": True, "recursiveReadOnly": wanted}]
    made = spec(pod(container(volumeMounts=mounts)), sources={"/a": ("/vol/a", False)})
    assert mount_at(made, "/a")["options"] == ["rbind", "rprivate", "rro"]


def test_a_mount_without_its_volume_is_an_error() -> None:
    with pytest.raises(ConfigError, match='cannot find volume "v" to mount into container "c"'):
        spec(pod(container(volumeMounts=[{"name": "v", "mountPath": "/v"}])))


def test_a_volume_may_cover_the_hosts_file() -> None:
    of = pod(container(volumeMounts=[{"name": "v", "mountPath": "/etc/hosts"}]))
    made = spec(of, sources={"/etc/hosts": ("/mine", False)})
    assert [each["source"] for each in made["mounts"] if each["destination"] == "/etc/hosts"] == ["/mine"]


def test_sysctls_and_the_working_directory_are_the_pods() -> None:
    names = ("net.core.somaxconn", "kernel/shm_rmid_forced", "net/ipv4/conf/eth0.1/forwarding")
    sysctl = {"sysctls": [{"name": name, "value": "9"} for name in names]}
    made = spec(pod(container(workingDir="/w"), securityContext=sysctl))
    assert made["linux"]["sysctl"] == {
        "net.core.somaxconn": "9",
        "kernel.shm_rmid_forced": "9",
        "net.ipv4.conf.eth0/1.forwarding": "9",
    }
    assert made["process"]["cwd"] == "/w"


def test_a_device_that_nobody_may_write_is_closed_to_root_too() -> None:
    device = {"path": "/dev/x", "type": "b", "major": 7, "minor": 1, "fileMode": 0o440, "uid": 0, "gid": 0}
    made = spec(pod(), devices=(device,))["linux"]
    assert made["resources"]["devices"][-1]["access"] == "rm"


def test_devices_are_allowed_one_by_one() -> None:
    device = {"path": "/dev/x", "type": "b", "major": 7, "minor": 3, "fileMode": 0o660, "uid": 0, "gid": 0}
    made = spec(pod(), devices=(device,))["linux"]
    assert made["devices"] == [device]
    assert made["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "b", "major": 7, "minor": 3, "access": "rwm"},
    ]
