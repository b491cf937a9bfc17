"""What the workloads of apps share: a selector that the template's labels match, a template whose pods keep
running."""

from __future__ import annotations

from typing import ClassVar

from podium.api.groups.core import pod_defaults, pod_validation, pod_warnings
from podium.api.groups.core.replication import always_restarts
from podium.api.strategy import Strategy
from podium.api.types import Obj, selectors
from podium.api.types.errors import Cause
from podium.api.types.selectors import selector_text
from podium.api.validation import causes, values
from podium.api.validation.selectors import is_empty, label_selector


class Workload(Strategy):
    """`owner` is how messages call the kind, `title` how the one about an empty selector does."""

    has_generation = True
    status_keeps: ClassVar[tuple[str, ...]] = ()
    owner: ClassVar[str] = ""
    title: ClassVar[str] = ""

    def default(self, obj: Obj) -> None:
        pod_defaults.template(obj.setdefault("spec", {}).setdefault("template", {}))

    def check_selected(self, obj: Obj) -> list[Cause]:
        """The selector, the template and that they belong together."""
        spec = obj["spec"]
        selector = spec.get("selector")
        found = check_selector(selector, self.title)
        selects = selector is None or not found
        template = spec["template"]
        labels = (template.get("metadata") or {}).get("labels")
        if selects and not selectors.from_label_selector(selector).matches(labels):
            detail = "`selector` does not match template `labels`"
            found.append(causes.invalid("spec.template.metadata.labels", labels, detail))
        found += pod_validation.check_template(self.checked_template(spec), "spec.template")
        return found + always_restarts(template["spec"], "spec.template.spec", self.owner)

    def warnings(self, obj: Obj) -> list[str]:
        return pod_warnings.check(obj["spec"].get("template") or {}, "spec.template")

    def checked_template(self, spec: Obj) -> Obj:
        """The template as pods will be made from it."""
        template: Obj = spec["template"]
        return template

    def scale_selector(self, obj: Obj) -> str:
        return selector_text(obj["spec"].get("selector"))


def check_selector(selector: Obj | None, title: str) -> list[Cause]:
    if selector is None:
        return [causes.required("spec.selector")]
    found = label_selector(selector, "spec.selector")
    if is_empty(selector):
        found.append(causes.invalid("spec.selector", selector, f"empty selector is invalid for {title}"))
    return found


def same_selector(new: Obj, old: Obj) -> list[Cause]:
    if (new["spec"].get("selector") or {}) == (old["spec"].get("selector") or {}):
        return []
    return [causes.immutable("spec.selector", new["spec"].get("selector"))]


def counts(obj: Obj, *keys: str) -> list[Cause]:
    """Numbers in a status, none of which is negative."""
    status = obj.get("status") or {}
    found: list[Cause] = []
    for key in keys:
        found += values.not_negative(status.get(key), f"status.{key}")
    return found


def within(obj: Obj, total: str, *keys: str) -> list[Cause]:
    """Numbers in a status that count some of the pods that another counts all of."""
    status = obj.get("status") or {}
    detail = f"cannot be greater than status.{total}"
    return [
        causes.invalid(f"status.{key}", status.get(key, 0), detail)
        for key in keys
        if status.get(key, 0) > status.get(total, 0)
    ]


def available(obj: Obj, shown: str = "readyReplicas") -> list[Cause]:
    """What is available is ready, too."""
    status = obj.get("status") or {}
    count = status.get("availableReplicas", 0)
    if count <= status.get("readyReplicas", 0):
        return []
    return [causes.invalid("status.availableReplicas", count, f"cannot be greater than {shown}")]


def collisions(new: Obj, old: Obj) -> list[Cause]:
    now, before = ((obj.get("status") or {}).get("collisionCount") for obj in (new, old))
    found = values.not_negative(now, "status.collisionCount")
    if before is not None and (now is None or now < before):
        found.append(causes.invalid("status.collisionCount", now or 0, "cannot be decremented"))
    return found
