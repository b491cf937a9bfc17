"""Looks at pods and nodes when they change, and now and then while nodes come or wait to go; has nodes added
and removed beside it.

Nothing is kept that could not be found again: what is on its way the provider tells, and a node that was
about to go when the controllers stopped is looked at anew."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podium.api.types import Obj
from podium.api.types.errors import StatusError
from podium.api.types.meta import name_of, timestamp
from podium.api.types.resources import (
    CONFIG_MAPS,
    CSI_NODES,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    STORAGE_CLASSES,
)
from podium.control.controller import Context
from podium.control.nodescaling import status, taints
from podium.control.nodescaling.book import Addition, Book, State, can_run
from podium.control.nodescaling.growth import Choice, Plan, plan
from podium.control.nodescaling.pods import PENDING, by_need, movable, waits_for_room
from podium.control.nodescaling.provider import Group, Provider, ProviderError, Template
from podium.control.nodescaling.removal import NotDrained, Removal
from podium.control.nodescaling.shrinkage import THRESHOLD, Cluster, Verdicts, unneeded
from podium.control.nodescaling.templates import like
from podium.control.pods import BY_NODE, by_node
from podium.control.scheduler.profiles import SchedulerConfig
from podium.control.scheduler.simulate import Simulation

log = logging.getLogger(__name__)

# Seconds. Pods that find no room come in groups; a provider is asked again for what it said after a while.
GATHER, REMEMBERED = 0.3, 60.0
# Empty nodes go together, others one by one.
EMPTY_AT_ONCE = 10
FAILURES = (ProviderError, NotDrained, StatusError, ConnectionError)


@dataclass(frozen=True)
class NodeScalingConfig:
    """Times in seconds: between two looks; until a node that was asked for must be Ready; how long a node is
    unneeded before it goes; how long after an addition none goes; how long pods may take to move.
    `threshold` is the share of a node below which it may be unneeded."""

    provider: Provider
    scan_interval: float = 10.0
    provision_timeout: float = 900.0
    unneeded_time: float = 600.0
    delay_after_add: float = 600.0
    delay_after_failure: float = 180.0
    drain_timeout: float = 600.0
    threshold: float = THRESHOLD
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)


class NodeAutoscaler:
    """A loop like the controllers', made before the informers run."""

    name = "node-autoscaler"

    def __init__(self, context: Context, config: NodeScalingConfig) -> None:
        self.context, self.config = context, config
        self.client, self.provider = context.client, config.provider
        self.recorder = context.recorder("cluster-autoscaler")
        informers = context.informers
        self.nodes = informers.informer(NODES)
        self.pods = informers.informer(PODS, {BY_NODE: by_node, PENDING: by_need})
        self.budgets = informers.informer(POD_DISRUPTION_BUDGETS)
        self._others = {
            "namespaces": informers.informer(NAMESPACES),
            "claims": informers.informer(PERSISTENT_VOLUME_CLAIMS),
            "volumes": informers.informer(PERSISTENT_VOLUMES),
            "classes": informers.informer(STORAGE_CLASSES),
            "csi_nodes": informers.informer(CSI_NODES),
        }
        self._groups: tuple[float, Sequence[Group]] | None = None
        self._wake = asyncio.Event()
        self._timer: tuple[float, Any] | None = None
        self.pods.add_handler(self._pod_changed)
        self.nodes.add_handler(self._node_changed)
        self.budgets.add_handler(lambda old, new: self._look_in(self.config.scan_interval))
        self._removal = Removal(self.client, self.provider, self.recorder, self.pods, config.drain_timeout)
        self._templates: dict[str, Template] = {}
        self._book = Book(config.provision_timeout)
        self._unneeded: dict[str, float] = {}
        self._hopeless: dict[str, str] = {}
        self._no_removal_before = 0.0
        self._shown: Obj = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- when to look

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        urgent = new is not None and waits_for_room(new) and not (old is not None and waits_for_room(old))
        self._look_in(GATHER if urgent else self.config.scan_interval)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            # Whoever took it away, the provider knows of it.
            self._groups = None
        self._look_in(self.config.scan_interval)

    def _look_in(self, delay: float) -> None:
        """Wakes the loop in `delay` seconds, or earlier if it is to be woken earlier already."""
        due = self._now() + delay
        if self._timer is not None:
            if self._timer[0] <= due:
                return
            self._timer[1].cancel()
        clock = self.context.clock or asyncio.get_running_loop()
        self._timer = (due, clock.call_later(delay, self._due))

    def _due(self) -> None:
        self._timer = None
        self._wake.set()

    def _now(self) -> float:
        return (self.context.clock or asyncio.get_running_loop()).time()

    async def run(self) -> None:
        """Until cancelled."""
        for informer in (self.nodes, self.pods, self.budgets, *self._others.values()):
            await informer.synced()
        try:
            while True:
                self._wake.clear()
                await self._look()
                await self._wake.wait()
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._book.stopped()

    # --- one look

    async def _look(self) -> None:
        await self._take_back()
        try:
            groups = await self._known_groups()
        except ProviderError as error:
            self._note("Warning", "CloudProviderError", str(error))
            await self._show([], str(error))
            self._look_in(REMEMBERED)
            return
        states = [
            self._book.state(group, self.nodes.get, self._now(), self.context.now()) for group in groups
        ]
        await self._give_up_on(states)
        pending = self.pods.by_index(PENDING, PENDING)
        if pending:
            await self._grow(states, pending)
        else:
            self._hopeless.clear()
        await self._keep_least(states)
        await self._shrink(states, busy=bool(pending) or bool(self._book.additions))
        await self._show(states)

    async def _take_back(self) -> None:
        """Nodes that bear a taint of ours and do not go are decided anew: a removal failed, or the last one
        stopped in the middle of it."""
        for node in self.nodes.list():
            name = name_of(node)
            if name in self._book.removing:
                continue
            if taints.has(node, taints.DELETED):
                await self._taint(name, taints.DELETED, wanted=False)
            if taints.has(node, taints.CANDIDATE) and name not in self._unneeded:
                await self._taint(name, taints.CANDIDATE, wanted=False)

    async def _known_groups(self) -> Sequence[Group]:
        """Raises ProviderError."""
        now = self._now()
        if self._groups is None or now - self._groups[0] >= REMEMBERED:
            self._groups = (now, await self.provider.groups())
        return self._groups[1]

    async def _give_up_on(self, states: Sequence[State]) -> None:
        """Nodes that were to come and did not."""
        members = {name for state in states for name in state.group.nodes}
        for name, group in self._book.overdue(self._now()):
            minutes = self.config.provision_timeout / 60
            text = f"Nodes added to group {group} failed to register within {minutes:.0f}m0s: {name}"
            self._note("Warning", "ScaleUpTimedOut", text)
            self._leave_alone(group)
            if name in members:
                self._start(self._clear_away(group, name))
        if (wait := self._book.next_overdue(self._now())) is not None:
            self._look_in(wait)

    def _leave_alone(self, group: str) -> None:
        self._look_in(self._book.failed(group, self._now()))

    def _is_left_alone(self, group: str) -> bool:
        return self._book.is_left_alone(group, self._now())

    async def _clear_away(self, group: str, name: str) -> None:
        self._book.removing[name] = group
        try:
            await self.provider.remove(group, name)
        except ProviderError as error:
            self._note("Warning", "DeleteUnregisteredFailed", f"Failed to remove node {name}: {error}")
        finally:
            self._book.removing.pop(name, None)
        self._settled()

    def _usable(self) -> list[Obj]:
        going = self._book.removing
        return [node for node in self.nodes.list() if can_run(node) and name_of(node) not in going]

    def _simulation(self) -> Simulation:
        """The nodes that can run pods, but for those that are going."""
        nodes = self._usable()
        others: Any = {key: informer.list() for key, informer in self._others.items()}
        return Simulation(nodes, self.pods.list(), config=self.config.scheduler, **others)

    # --- more

    async def _grow(self, states: Sequence[State], pending: Sequence[Obj]) -> None:
        choices = [choice for state in states if (choice := await self._choice(state)) is not None]
        made = plan(self._simulation, pending, choices)
        by_uid = {pod["metadata"]["uid"]: pod for pod in pending}
        self._tell_pods(made, choices, by_uid)
        sizes = {state.group.name: state for state in states}
        for group, count in made.add.items():
            self._add(sizes[group], count)
        if made.add or any(choice.coming for choice in choices):
            self._look_in(self.config.scan_interval)

    async def _choice(self, state: State) -> Choice | None:
        template, name = await self._template(state), state.group.name
        if template is None:
            return None
        return Choice(name, template, state.size, state.coming, state.group.most, self._is_left_alone(name))

    async def _template(self, state: State) -> Template | None:
        """Of a node that there is; else what the provider says, else what was known last."""
        group = state.group.name
        if state.ready:
            node = min(state.ready, key=name_of)
            self._templates[group] = like(node, self.pods.by_index(BY_NODE, name_of(node)))
            return self._templates[group]
        try:
            template = await self.provider.template(group)
        except ProviderError as error:
            self._note("Warning", "CloudProviderError", str(error))
            template = None
        if template is not None:
            self._templates[group] = template
        return self._templates.get(group)

    def _tell_pods(self, made: Plan, choices: Sequence[Choice], pods: Mapping[str, Obj]) -> None:
        sizes = {choice.name: choice for choice in choices}
        for uid, group in made.helped.items():
            size, most = sizes[group].size, sizes[group].most
            change = f"{group} {size}->{size + made.add[group]} (max: {most})"
            text = f"pod triggered scale-up: [{{{change}}}]"
            self.recorder.event(pods[uid], "Normal", "TriggeredScaleUp", text)
        for uid, why in made.hopeless.items():
            if self._hopeless.get(uid) != why:
                text = f"pod didn't trigger scale-up: {why}"
                self.recorder.event(pods[uid], "Normal", "NotTriggerScaleUp", text)
        self._hopeless = dict(made.hopeless)

    def _add(self, state: State, count: int) -> None:
        group, size = state.group, state.size
        text = f"setting group {group.name} size to {size + count} instead of {size} (max: {group.most})"
        self._note("Normal", "ScaledUpGroup", f"Scale-up: {text}")
        addition = Addition(group.name, count, frozenset(group.nodes))
        self._book.additions.add(addition)
        self._start(self._adding(addition))

    async def _adding(self, addition: Addition) -> None:
        try:
            names = await self.provider.add(addition.group, addition.count)
        except ProviderError as error:
            text = f"Scale-up failed for group {addition.group}: {error}"
            self._note("Warning", "FailedToScaleUpGroup", text)
            self._leave_alone(addition.group)
        else:
            self._book.added(addition.group, names, self._now())
            text = f"Scale-up: group {addition.group} has {addition.count} more: {', '.join(names)}"
            log.info("%s", text)
        finally:
            self._book.additions.discard(addition)
        self._no_removal_before = max(self._no_removal_before, self._now() + self.config.delay_after_add)
        self._settled()

    async def _keep_least(self, states: Sequence[State]) -> None:
        """A group that lost nodes gets them back."""
        for state in states:
            missing = state.group.least - state.size
            adding = any(each.group == state.group.name for each in self._book.additions)
            if missing > 0 and not adding and not self._is_left_alone(state.group.name):
                self._add(state, missing)

    # --- less

    async def _shrink(self, states: Sequence[State], *, busy: bool) -> None:
        """Nodes that have been unneeded for long enough go; the others are marked, or no longer."""
        now = self._now()
        verdicts = Verdicts((), {}) if busy else self._unneeded_now(states)
        for name in [name for name in self._unneeded if name not in verdicts.unneeded]:
            del self._unneeded[name]
            if name not in self._book.removing:
                await self._taint(name, taints.CANDIDATE, wanted=False)
        for name in verdicts.unneeded:
            if name not in self._unneeded:
                self._unneeded[name] = now
                await self._taint(name, taints.CANDIDATE, wanted=True)
        for name in self._leaving(verdicts.unneeded, now):
            node = self.nodes.get(name)
            if node is not None:
                self._remove(node, next(s.group.name for s in states if name in s.group.nodes))

    def _unneeded_now(self, states: Sequence[State]) -> Verdicts:
        groups: dict[str, str] = {}
        spare: dict[str, int] = {}
        for state in states:
            free = [name for name in state.group.nodes if name not in state.group.fixed]
            groups |= dict.fromkeys(free, state.group.name)
            spare[state.group.name] = len(state.ready) - state.group.least
        if not any(left > 0 for left in spare.values()):
            return Verdicts((), {})
        nodes = self._usable()
        pods = {name_of(node): self.pods.by_index(BY_NODE, name_of(node)) for node in nodes}
        cluster = Cluster(nodes, pods, self.budgets.list(), groups, spare)
        return unneeded(cluster, self._simulation, self.config.threshold)

    def _leaving(self, names: Sequence[str], now: float) -> Iterator[str]:
        """Those whose time has come; for the others the loop is woken."""
        wait = self._no_removal_before - now
        for name in names:
            left = max(self._unneeded[name] + self.config.unneeded_time - now, wait)
            if left > 0:
                self._look_in(left)
                continue
            occupied = bool(movable(self.pods.by_index(BY_NODE, name)))
            if len(self._book.removing) >= (1 if occupied else EMPTY_AT_ONCE):
                continue
            yield name

    async def _taint(self, name: str, key: str, *, wanted: bool) -> None:
        try:
            if wanted:
                await taints.put(self.client, name, key, self.context.now().timestamp())
            else:
                await taints.drop(self.client, name, key)
        except (StatusError, ConnectionError) as error:
            # A taint that is missing is only a hint less to the scheduler; one that is left goes at the next
            # look.
            log.info("node %s: %s", name, error)
            self._look_in(self.config.scan_interval)

    def _remove(self, node: Obj, group: str) -> None:
        name = name_of(node)
        self._book.removing[name] = group
        empty = not movable(self.pods.by_index(BY_NODE, name))
        reason = "ScaleDownEmpty" if empty else "ScaleDown"
        text = f"Scale-down: removing {'empty ' if empty else ''}node {name}"
        self._note("Normal", reason, text)
        self._start(self._being_removed(node, group))

    async def _being_removed(self, node: Obj, group: str) -> None:
        name = name_of(node)
        try:
            await self._removal.run(node, group, self.context.now().timestamp())
        except FAILURES as error:
            log.warning("node %s stays: %s", name, error)
            self._note("Warning", "ScaleDownFailed", f"Scale-down: node {name} stays: {error}")
            self._no_removal_before = self._now() + self.config.delay_after_failure
        finally:
            self._book.removing.pop(name, None)
            self._unneeded.pop(name, None)
        self._settled()

    # --- telling

    def _settled(self) -> None:
        """Something that ran beside the loop has ended."""
        self._groups = None
        self._look_in(0.0)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("the node autoscaler's work failed", exc_info=error)

    def _note(self, kind: str, reason: str, message: str) -> None:
        self.recorder.event(status.REFERENCE, kind, reason, message)

    async def _show(self, states: Sequence[State], problem: str = "") -> None:
        """Writes the status where it has changed."""
        nodes = self.nodes.list()
        ready = sum(can_run(node) for node in nodes)
        shown = status.document(
            ready, len(nodes) - ready, [self._group_state(state) for state in states], problem
        )
        if shown == self._shown:
            return
        config_map = status.config_map(shown, timestamp(self.context.now()))
        with contextlib.suppress(StatusError, ConnectionError):
            try:
                await self.client.update(CONFIG_MAPS, config_map)
            except StatusError as error:
                if error.code != 404:
                    raise
                await self.client.create(CONFIG_MAPS, config_map, status.NAMESPACE)
            self._shown = shown

    def _group_state(self, state: State) -> status.GroupState:
        group = state.group
        candidates = sum(name in group.nodes for name in self._unneeded)
        return status.GroupState(
            group.name, group.least, group.most, len(state.ready), len(state.unready), state.coming,
            state.size, candidates, self._is_left_alone(group.name),
        )  # fmt: skip
