"""The Deployment controller: carries out what `rollout`, `revisions` and `status` decide.

One reconcile makes at most one round of resizes and writes the Deployment's status at most once, at its end;
every change it makes comes back as an event and asks for the next round.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import controller_of, deleting, key_of, name_of, namespace_of, split_key
from podium.api.types.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from podium.api.types.selectors import from_label_selector
from podium.control import conditions
from podium.control.claims import Claimer
from podium.control.controller import Context, Controller, namespace_ends, own_key, owner_key
from podium.control.deployments import revisions, rollout, status
from podium.control.deployments.rollout import Resize, size_of
from podium.control.pods import BY_CONTROLLER, by_controller, controlled, is_finished
from podium.control.templates import same_template

log = logging.getLogger(__name__)


class DeploymentController(Controller):
    name = "deployment-controller"
    workers = 5

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.recorder = context.recorder(self.name)
        self._claimer = Claimer(context.client, DEPLOYMENTS, REPLICA_SETS)
        self.deployments = self.watch(DEPLOYMENTS, own_key)
        self.replica_sets = self.watch(
            REPLICA_SETS, self._replica_set_changed, {BY_CONTROLLER: by_controller}
        )
        self.pods = self.watch(PODS, self._pod_changed, {BY_CONTROLLER: by_controller})

    def _replica_set_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        for replica_set in (old, new):
            if replica_set is not None and (key := owner_key(replica_set, DEPLOYMENTS.kind)):
                yield key
        if new is not None and controller_of(new) is None and not deleting(new):
            labels = new["metadata"].get("labels")
            for deployment in self.deployments.list(namespace_of(new)) if labels else ():
                selector = from_label_selector(deployment["spec"].get("selector"))
                if not selector.everything and selector.matches(labels):
                    yield key_of(deployment)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        """Only the end of a pod matters, and only to a Recreate that waits for the last one."""
        if old is None or (new is not None and (is_finished(old) or not is_finished(new))):
            return
        owner = controller_of(old)
        if owner is None or owner["kind"] != REPLICA_SETS.kind:
            return
        replica_set = self.replica_sets.get(owner["name"], namespace_of(old))
        key = owner_key(replica_set, DEPLOYMENTS.kind) if replica_set is not None else ""
        deployment = self.deployments.get(split_key(key)[1], namespace_of(old)) if key else None
        if deployment is not None and not rollout.is_rolling(deployment):
            yield key

    async def reconcile(self, key: str) -> None:
        namespace, name = split_key(key)
        deployment = self.deployments.get(name, namespace)
        if deployment is None:
            return
        selector = from_label_selector(deployment["spec"].get("selector"))
        if selector.everything:
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self.recorder.event(deployment, "Warning", "SelectingAll", message)
            return
        own = self.replica_sets.by_index(BY_CONTROLLER, deployment["metadata"]["uid"])
        orphans = self.replica_sets.by_index(BY_CONTROLLER, f"orphan/{namespace}")
        replica_sets = await self._claimer.claim(deployment, selector, [*own, *orphans])
        await _Round(self, deployment, replica_sets).run()


class _Round:
    """One reconcile of one Deployment. `draft` is the Deployment as it is to be written back (annotations and
    status)."""

    def __init__(
        self, controller: DeploymentController, deployment: Obj, replica_sets: Sequence[Obj]
    ) -> None:
        self.controller = controller
        self.client = controller.client
        self.deployment = deployment
        self.draft = deployment
        self.replica_sets = replica_sets
        self.now = controller.context.now()
        self.new = revisions.find_new(deployment, replica_sets)
        uid = self.new["metadata"]["uid"] if self.new else None
        self.olds = [entry for entry in replica_sets if entry["metadata"]["uid"] != uid]

    async def run(self) -> None:
        try:
            await self._advance()
        finally:
            # Also after a failure: what was found out so far (a condition, a collision) must not be lost.
            await self._write()

    async def _advance(self) -> None:
        if deleting(self.deployment):
            self._set_status(status.calculate(self.draft, self.new, self.olds, self.now))
            return
        if found := status.paused(self.draft, self.now):
            self._put_condition(found)
        if self.new is not None:
            await self._renew()
        if self.deployment["spec"].get("paused") or rollout.is_scaling(self.deployment, self.replica_sets):
            await self._scale()
            return
        if rollout.is_rolling(self.deployment):
            await self._roll()
        else:
            await self._recreate()

    async def _scale(self) -> None:
        await self._resize(rollout.scaling(self.deployment, self.new, self.olds))
        if self.deployment["spec"].get("paused"):
            await self._clean_up()
        self._set_status(status.calculate(self.draft, self.new, self.olds, self.now))

    async def _roll(self) -> None:
        new = self.new or await self._create()
        resizes = rollout.rolling(self.deployment, new, self.olds)
        await self._resize(resizes)
        await self._finish(resized=bool(resizes))

    async def _recreate(self) -> None:
        """All old pods go, and are waited for, before the first new one comes."""
        old = [Resize(entry, 0) for entry in rollout.active(self.olds)]
        await self._resize(old)
        if old or self._old_pods_run():
            await self._finish(resized=True)
            return
        new = self.new or await self._create()
        if size_of(new) != rollout.wanted(self.deployment):
            await self._resize([Resize(new, rollout.wanted(self.deployment))])
        await self._finish(resized=False)

    def _old_pods_run(self) -> bool:
        if any((entry.get("status") or {}).get("replicas") for entry in self.olds):
            return True
        pods = self.controller.pods
        return any(not is_finished(pod) for entry in self.olds for pod in controlled(pods, entry))

    async def _finish(self, *, resized: bool) -> None:
        if not resized and status.is_complete(self.deployment, self.deployment.get("status") or {}):
            await self._clean_up()
        found = status.rollout(self.draft, self.new, self.olds, self.now)
        self._set_status(found)
        if wait := status.next_check(self.deployment, found, self.now):
            self.controller.queue.add_after(key_of(self.deployment), wait)

    async def _renew(self) -> None:
        """Keeps the newest ReplicaSet's annotations (the revision among them) and minReadySeconds those of
        the Deployment, and the Deployment's revision that of the ReplicaSet."""
        new = self.new
        assert new is not None
        number = max(map(revisions.revision, self.olds), default=0) + 1
        wished = revisions.inherited(self.deployment, new, number)
        seconds = self.deployment["spec"].get("minReadySeconds", 0)
        if wished != revisions.annotations_of(new) or new["spec"].get("minReadySeconds", 0) != seconds:
            spec = new["spec"]
            if spec.get("minReadySeconds", 0) != seconds:
                spec = {**spec, "minReadySeconds": seconds}
            changed = {**new, "metadata": {**new["metadata"], "annotations": wished}, "spec": spec}
            self.new = new = await self.client.update(REPLICA_SETS, changed)
        self._set_revision(revisions.annotations_of(new).get(revisions.REVISION, str(number)))
        known = conditions.find(self._conditions(), status.PROGRESSING)
        if known is None and status.deadline(self.deployment) is not None:
            message = f'Found new replica set "{name_of(new)}"'
            self._put_condition(status.condition(status.PROGRESSING, "True", status.FOUND, message, self.now))

    async def _create(self) -> Obj:
        number = max(map(revisions.revision, self.olds), default=0) + 1
        made = revisions.build(self.draft)
        size = rollout.new_size(self.deployment, self.olds, 0)
        counts = revisions.size_annotations(
            rollout.wanted(self.deployment), rollout.max_total(self.deployment)
        )
        made["spec"]["replicas"] = size
        made["metadata"]["annotations"] = {**revisions.inherited(self.deployment, made, number), **counts}
        try:
            created = await self.client.create(REPLICA_SETS, made)
        except StatusError as error:
            created = await self._create_failed(made, error)
        else:
            if size > 0:
                self._tell_scaled(created, 0, size)
            if status.deadline(self.deployment) is not None:
                message = f'Created new replica set "{name_of(created)}"'
                self._put_condition(
                    status.condition(status.PROGRESSING, "True", status.CREATED, message, self.now)
                )
        self.new = created
        self._set_revision(str(number))
        return created

    async def _create_failed(self, made: Obj, error: StatusError) -> Obj:
        """The ReplicaSet of that name, if it is ours and the same (the cache had not seen it yet). Else
        raises, after noting a hash collision, so that the next round takes another name, or the failure."""
        if error.reason == "AlreadyExists":
            found = await self.client.get(REPLICA_SETS, name_of(made), namespace_of(made))
            owner = controller_of(found)
            template = self.deployment["spec"]["template"]
            ours = owner is not None and owner["uid"] == self.deployment["metadata"]["uid"]
            if ours and same_template(found["spec"]["template"], template):
                return found
            count = (self.draft.get("status") or {}).get("collisionCount", 0) + 1
            self._set_status({**(self.draft.get("status") or {}), "collisionCount": count})
        elif not namespace_ends(error):
            message = f'Failed to create new replica set "{name_of(made)}": {error.message}'
            if status.deadline(self.deployment) is not None:
                self._put_condition(
                    status.condition(status.PROGRESSING, "False", status.CREATE_FAILED, message, self.now)
                )
            self.controller.recorder.event(self.deployment, "Warning", status.CREATE_FAILED, message)
        raise error

    async def _resize(self, resizes: Iterable[Resize]) -> None:
        counts = revisions.size_annotations(
            rollout.wanted(self.deployment), rollout.max_total(self.deployment)
        )
        for replica_set, size in resizes:
            before = size_of(replica_set)
            present = revisions.annotations_of(replica_set)
            if size == before and all(present.get(name) == text for name, text in counts.items()):
                continue
            changed = {
                **replica_set,
                "metadata": {**replica_set["metadata"], "annotations": {**present, **counts}},
                "spec": {**replica_set["spec"], "replicas": size},
            }
            self._replace(replica_set, await self.client.update(REPLICA_SETS, changed))
            if size != before:
                self._tell_scaled(replica_set, before, size)

    def _replace(self, before: Obj, after: Obj) -> None:
        if self.new is before:
            self.new = after
        self.olds = [after if entry is before else entry for entry in self.olds]

    def _tell_scaled(self, replica_set: Obj, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        message = f"Scaled {way} replica set {name_of(replica_set)} from {before} to {after}"
        self.controller.recorder.event(self.deployment, "Normal", "ScalingReplicaSet", message)

    async def _clean_up(self) -> None:
        for replica_set in revisions.surplus(self.deployment, self.olds):
            meta = replica_set["metadata"]
            try:
                await self.client.delete(REPLICA_SETS, meta["name"], meta["namespace"], uid=meta["uid"])
            except StatusError as error:
                if error.code not in (404, 409):
                    raise

    def _conditions(self) -> Sequence[Obj]:
        return (self.draft.get("status") or {}).get("conditions") or ()

    def _set_status(self, new: Obj) -> None:
        self.draft = {**self.draft, "status": new}

    def _put_condition(self, new: Obj) -> None:
        entries = conditions.put(self._conditions(), new)
        self._set_status({**(self.draft.get("status") or {}), "conditions": entries})

    def _set_revision(self, number: str) -> None:
        present = revisions.annotations_of(self.draft)
        if present.get(revisions.REVISION) != number:
            annotations = {**present, revisions.REVISION: number}
            self.draft = {**self.draft, "metadata": {**self.draft["metadata"], "annotations": annotations}}

    async def _write(self) -> None:
        if self.draft is self.deployment or self.draft == self.deployment:
            return
        try:
            await self.client.update(DEPLOYMENTS, self.draft, subresource="status")
        except StatusError as error:
            if error.code != 404:
                raise
