"""ServiceAccount: every pod runs as one, and finds its token, the cluster's CA and its namespace in a volume.

Source: Kubernetes documentation, "Configure Service Accounts for Pods"; the paths are those that client
libraries read.
"""

from __future__ import annotations

from podium.api.admission.request import AdmissionRequest, Cluster
from podium.api.groups.core.pod_annotations import MIRROR
from podium.api.types import Obj
from podium.api.types.meta import suffix
from podium.api.types.resources import PODS, SERVICE_ACCOUNTS

DEFAULT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
# An hour and a few seconds, by which upstream tells these tokens from those that somebody asked for.
TOKEN_SECONDS = 3607
CA_CONFIG_MAP = "kube-root-ca.crt"


class ServiceAccount:
    name = "ServiceAccount"

    async def mutate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        pod = request.creates(PODS)
        if pod is None or MIRROR in (pod["metadata"].get("annotations") or {}):
            return
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or DEFAULT
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(request, cluster, name)
        if _wants_token(spec, account):
            mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(entry) for entry in account["imagePullSecrets"]]

    async def _account(self, request: AdmissionRequest, cluster: Cluster, name: str) -> Obj:
        """The default account is made a moment after its namespace, so it is worth waiting for."""
        account = cluster.lookup(SERVICE_ACCOUNTS, request.namespace, name)
        if account is None and name == DEFAULT:
            account = await cluster.expect(SERVICE_ACCOUNTS, request.namespace, name)
        if account is None:
            where = f"{request.namespace}/{name}"
            raise request.refuse(
                f'error looking up service account {where}: serviceaccount "{name}" not found'
            )
        return account

    async def validate(self, request: AdmissionRequest, cluster: Cluster) -> None:
        pod = request.creates(PODS)
        if pod is None or MIRROR not in (pod["metadata"].get("annotations") or {}):
            return
        if pod["spec"].get("serviceAccountName"):
            raise request.refuse("a mirror pod may not reference service accounts")
        if any(volume.get("secret") for volume in pod["spec"].get("volumes") or ()):
            raise request.refuse("a mirror pod may not reference secrets")


def _wants_token(spec: Obj, account: Obj) -> bool:
    """The pod's word counts before the account's."""
    for place in (spec, account):
        if (word := place.get("automountServiceAccountToken")) is not None:
            return bool(word)
    return True


def mount_token(spec: Obj) -> None:
    """Mounts the volume into every container that has nothing of its own at that path; adds it when somebody
    needs it."""
    volumes = spec.get("volumes") or []
    name = next((entry["name"] for entry in volumes if entry.get("name", "").startswith(VOLUME_PREFIX)), "")
    present = bool(name)
    name = name or VOLUME_PREFIX + suffix()
    needed = False
    for key in ("initContainers", "containers"):
        for container in spec.get(key) or ():
            mounts = container.get("volumeMounts") or []
            if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
                container["volumeMounts"] = [
                    *mounts,
                    {"name": name, "readOnly": True, "mountPath": MOUNT_PATH},
                ]
                needed = True
    if needed and not present:
        spec["volumes"] = [*volumes, token_volume(name)]


def token_volume(name: str) -> Obj:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": CA_CONFIG_MAP, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}
