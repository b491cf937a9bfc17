"""Many random requests at once for some seconds, while somebody else just wants an answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import aiohttp

from tests.conformance.fuzz import custom
from tests.conformance.fuzz.calls import Call, Calls, Documents, Operation, read
from tests.conformance.fuzz.target import Target, fault

WORKERS = 12
PATIENCE = 15.0  # seconds for an answer
LOOK = 0.05  # seconds between two looks of the other client
SWEEP = 10.0  # seconds between two times that all is removed
# What would stop other requests if it were in force: these are only tried.
POWERFUL = (
    "webhookconfigurations", "policybindings", "flowschemas", "prioritylevelconfigurations", "apiservices",
)  # fmt: skip
NAMESPACE = "fuzz"


@dataclass
class Report:
    """`faults` by operation, each with the request that showed it. `looks` are how long the other client waited, in seconds
    of the target's clock."""

    codes: Counter[int] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    looks: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @property
    def slowest(self) -> float:
        return max(self.looks, default=0.0)

    def percentile(self, share: float) -> float:
        """Of the other client's waiting."""
        return sorted(self.looks)[int(len(self.looks) * share)]

    def note(self, operation: Operation, call: Call, what: str) -> None:
        shown = f"{what}\n  {call.method} {call.target[:400]}\n  {dict(call.headers)}\n  {call.body[:1500]!r}"
        self.faults.setdefault(f"{operation.method} {operation.path}: {what[:20]}", shown)


def tamed(operation: Operation, call: Call) -> Call | None:
    """The request, without what it would do to all others. None for what cannot be had without."""
    kind = operation.collection.rpartition("/")[2]
    if operation.method == "get":
        return call
    if kind == "customresourcedefinitions" and (operation.method == "delete" or custom.PLURAL in call.target):
        return None
    if kind == "namespaces" and "{name}" in operation.path:
        return None
    if not any(part in kind for part in POWERFUL):
        return call
    if "dryRun" in call.target:
        return None
    return replace(call, target=f"{call.target}{'&' if '?' in call.target else '?'}dryRun=All")


class Campaign:
    def __init__(self, target: Target, seed: int, examples: Mapping[str, list[Any]]) -> None:
        self.target, self.random, self.examples = target, Random(seed), examples
        self.report = Report()
        self._end = 0.0

    async def run(self, seconds: float) -> Report:
        connector = aiohttp.TCPConnector(ssl=self.target.tls, limit=64)
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(self.target.url, connector=connector, timeout=timeout) as session:
            async with session.post("/api/v1/namespaces", json={"metadata": {"name": NAMESPACE}}):
                pass
            self._documents = await self._with_custom_resources(session)
            self._calls = Calls(self.random, self._documents, namespaces=(NAMESPACE,))
            self._calls.kept.update({path: list(objects) for path, objects in self.examples.items()})
            self._custom = [
                each for each in self._documents.operations if each.collection == custom.COLLECTION
            ]
            self._calls.kept[custom.COLLECTION] = [custom.EXAMPLE]
            self._end = time.monotonic() + seconds
            workers = (self._work(session) for _ in range(WORKERS))
            await asyncio.gather(*workers, self._look(session), self._sweep(session))
        return self.report

    async def _with_custom_resources(self, session: aiohttp.ClientSession) -> Documents:
        """The documents, once they have what was just defined."""
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        async with session.post(definitions, json=custom.DEFINITION) as answer:
            assert answer.status in (201, 409), await answer.text()
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await documents(session)
                if any(operation.collection == custom.COLLECTION for operation in found.operations):
                    return found

    @property
    def _on(self) -> bool:
        return time.monotonic() < self._end and self.target.alive

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while self._on:
            operation = self.random.choice(
                self._documents.operations if self.random.random() < 0.9 else self._custom
            )
            call = tamed(operation, self._calls.of(operation))
            if call is not None:
                await self._try(session, operation, call)

    async def _try(self, session: aiohttp.ClientSession, operation: Operation, call: Call) -> None:
        try:
            code, body = await self.target.send(session, call)
        except TimeoutError:
            # A watch lasts as long as it was asked to.
            if not call.watches:
                self.report.note(operation, call, "no answer")
            return
        except (aiohttp.ClientError, ValueError) as error:
            self.report.note(operation, call, f"{type(error).__name__}: {error}")
            return
        self.report.codes[code] += 1
        if what := fault(call, code, body):
            self.report.note(operation, call, what)
        self._learn(operation, call, code, body)

    def _learn(self, operation: Operation, call: Call, code: int, body: bytes) -> None:
        if operation.method == "delete":
            self._calls.forget(operation, call)
        elif code in (200, 201) and "dryRun" not in call.target and not call.watches:
            made = operation.method == "post" and "{name}" not in operation.path
            if made or operation.path.endswith("/{name}"):
                try:
                    self._calls.learn(operation, json.loads(body))
                except ValueError:
                    # Asked for in another form.
                    return

    async def _look(self, session: aiohttp.ClientSession) -> None:
        while self._on:
            began = self.target.clock()
            async with session.get("/api/v1/namespaces/default") as answer:
                await answer.read()
            self.report.looks.append(self.target.clock() - began)
            await asyncio.sleep(LOOK)

    async def _sweep(self, session: aiohttp.ClientSession) -> None:
        """Objects are not what is to be counted: memory has to stay where it is without them."""
        while self._on:
            await asyncio.sleep(max(0.0, min(self._end - time.monotonic(), SWEEP)))
            if not self.target.alive:
                return
            for operation in self._documents.operations:
                if (
                    operation.method == "delete"
                    and "{name}" not in operation.path
                    and "{namespace}" in operation.path
                ):
                    path = operation.path.replace("{namespace}", NAMESPACE)
                    async with session.delete(path, json={"gracePeriodSeconds": 0}) as answer:
                        await answer.read()
            self._calls.known.clear()
            self.report.memory.append(self.target.rss())


async def documents(session: aiohttp.ClientSession) -> Documents:
    """All of the served ones."""
    return read([each for _, each in await raw_documents(session)])


async def raw_documents(session: aiohttp.ClientSession) -> list[tuple[str, dict[str, Any]]]:
    """(group version, document)"""
    async with session.get("/openapi/v3") as answer:
        index = (await answer.json())["paths"]
    found = []
    for name, entry in index.items():
        async with session.get(entry["serverRelativeURL"]) as answer:
            found.append((name, await answer.json()))
    return found
