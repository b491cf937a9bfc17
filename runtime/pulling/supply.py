"""An image for a pod: from this machine if it may have it, else from its registry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from podium.api.types import Obj, meta
from podium.api.types.errors import StatusError
from podium.api.types.resources import SECRETS
from podium.client.base import Client
from podium.runtime.images import Image, ImageStore, PullError, parse
from podium.runtime.pulling import keyring
from podium.runtime.pulling.keyring import Credential
from podium.runtime.pulling.records import PullRecords, Verification, merged, proven, verifies

log = logging.getLogger(__name__)

Tell = Callable[[str, str, str], None]
"""Records an event about the pod or one of its containers: type, reason, message."""


class ImageSupply:
    """One node's."""

    def __init__(
        self,
        images: ImageStore,
        records: PullRecords,
        client: Client,
        verification: Verification,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self.images = images
        self.records = records
        self._client = client
        self._verification = verification
        self._now = now

    async def obtain(self, pod: Obj, wanted: str, policy: str, tell: Tell) -> Image:
        """The image that a pod asks for by a name. Raises PullError, ContainerdError, ArchiveError."""
        try:
            repository = parse(wanted).repository
        except PullError as error:
            tell("Warning", "InspectFailed", str(error))
            raise
        found = None if policy == "Always" else await self.images.find(wanted)
        if found is None and policy == "Never":
            raise _never(wanted, tell)
        secrets = await self._secrets(pod, tell)
        credentials = keyring.lookup(secrets, repository)
        if found is not None:
            if await self._may_have(found, wanted, repository, credentials):
                text = f'Container image "{wanted}" already present on machine and can be accessed by the pod'
                tell("Normal", "Pulled", text)
                return found
            if policy == "Never":
                # That the image is here is nothing to tell to who may not have it.
                raise _never(wanted, tell)
        return await self._pull(wanted, repository, credentials, tell)

    async def _secrets(self, pod: Obj, tell: Tell) -> list[Obj]:
        """The pod's pull secrets, as far as they can be had."""
        names = [each.get("name") for each in pod["spec"].get("imagePullSecrets") or ()]
        asked = [name for name in names if name]
        if not asked:
            return []
        namespace = meta.namespace_of(pod)
        found = await asyncio.gather(*(self._secret(name, namespace) for name in asked))
        if missing := [name for name, secret in zip(asked, found, strict=True) if secret is None]:
            text = f"Unable to retrieve some image pull secrets ({', '.join(missing)});"
            text = f"{text} attempting to pull the image may not succeed."
            tell("Warning", "FailedToRetrieveImagePullSecret", text)
        return [secret for secret in found if secret is not None]

    async def _secret(self, name: str, namespace: str) -> Obj | None:
        try:
            return await self._client.get(SECRETS, name, namespace)
        except (StatusError, ConnectionError, TimeoutError) as error:
            log.info("cannot get pull secret %s/%s: %s", namespace, name, error)
            return None

    async def _may_have(
        self, image: Image, wanted: str, repository: str, credentials: Sequence[Credential]
    ) -> bool:
        record, pulled = await asyncio.to_thread(self.records.about, image.id, wanted)
        if not verifies(self._verification, repository, pulled=pulled):
            return True
        found = proven(record, repository, credentials)
        if isinstance(found, Credential):
            await self._note(image, repository, found)
        return bool(found)

    async def _note(self, image: Image, repository: str, credential: Credential | None) -> None:
        now = meta.timestamp(self._now())
        record = await asyncio.to_thread(self.records.get, image.id)
        made = merged(record, image.id, repository, credential, now=now)
        if record is None or made["credentialMapping"] != record.get("credentialMapping"):
            await asyncio.to_thread(self.records.put, made)

    async def _pull(
        self, wanted: str, repository: str, credentials: Sequence[Credential], tell: Tell
    ) -> Image:
        tell("Normal", "Pulling", f'Pulling image "{wanted}"')
        began = self._now()
        try:
            await asyncio.to_thread(self.records.intend, wanted)
            try:
                image, took, used = await self._with_any(wanted, credentials)
                await self._note(image, repository, used)
            finally:
                await asyncio.to_thread(self.records.ended, wanted)
        except PullError as error:
            tell("Warning", "Failed", f'Failed to pull image "{wanted}": {error}')
            raise
        except OSError as error:
            raise PullError("ErrImagePull", f"failed to record image pull intent: {error}") from error
        waited = (self._now() - began).total_seconds()
        text = f'Successfully pulled image "{wanted}" in {spent(took)} ({spent(waited)} including waiting).'
        tell("Normal", "Pulled", f"{text} Image size: {image.size} bytes.")
        return image

    async def _with_any(
        self, wanted: str, credentials: Sequence[Credential]
    ) -> tuple[Image, float, Credential | None]:
        """Each credential has its try, the most specific one first. Raises PullError."""
        failures: list[PullError] = []
        for credential in credentials or (None,):
            try:
                image, took = await self.images.pull(wanted, credential.auth if credential else None)
                return image, took, credential
            except PullError as error:
                failures.append(error)
        texts = list(dict.fromkeys(str(each) for each in failures))
        raise PullError(failures[-1].reason, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")


def _never(wanted: str, tell: Tell) -> PullError:
    message = f'Container image "{wanted}" is not present with pull policy of Never'
    tell("Warning", "ErrImageNeverPull", message)
    return PullError("ErrImageNeverPull", message)


def spent(seconds: float) -> str:
    """As Go prints a duration in whole milliseconds: 0s, 87ms, 1.204s, 1m2.5s."""
    thousandths = max(0, int(seconds * 1000))
    if thousandths < 1000:
        return f"{thousandths}ms" if thousandths else "0s"
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{whole}"
    return f"{minutes}m{whole}" if minutes else whole
