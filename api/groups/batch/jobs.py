"""Jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from podium.api.groups import cells
from podium.api.groups.batch import policies, templates, transitions
from podium.api.groups.core import pod_defaults, pod_validation, pod_warnings
from podium.api.strategy import Strategy, same
from podium.api.types import Obj, selectors
from podium.api.types.errors import Cause
from podium.api.validation import causes, names, values
from podium.api.validation.selectors import label_selector

MAX_INT32 = 2**31 - 1
MAX_INDEXED = SOFT_LIMIT = 100_000
HIGH_LIMIT = 10_000  # of what an indexed job with more completions than SOFT_LIMIT may have
MANAGER_LIMIT = 63
MODES = ("NonIndexed", "Indexed")
RESTART_POLICIES = ("OnFailure", "Never")
REPLACEMENTS = ("Failed", "TerminatingOrFailed")
# The labels that tie a job's pods to it, the older ones without a prefix.
NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
_NUMBERS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
    "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip
_FIXED = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")


class Jobs(Strategy):
    has_generation = True
    columns = cells.table("Name", "Status", "Completions", "Duration", "Age", *cells.CONTAINERS)
    fields = same("status.successful")
    status_keeps = ()

    def default(self, obj: Obj) -> None:
        default_spec(obj.setdefault("spec", {}))
        _label(obj)

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        if not obj["spec"].get("manualSelector"):
            _tie(obj)
            _label(obj)

    def check(self, obj: Obj) -> list[Cause]:
        return _selector(obj) + check_spec(obj["spec"], "spec") + _hostnames(obj)

    def check_update(self, new: Obj, old: Obj) -> list[Cause]:
        spec, former = new["spec"], old["spec"]
        found = self.check(new) + _completions(spec, former)
        for key in ("selector", *_FIXED):
            if (spec.get(key) or None) != (former.get(key) or None):
                found.append(causes.immutable(f"spec.{key}", spec.get(key)))
        return found + templates.updated(new, old)

    def check_status(self, new: Obj, old: Obj) -> list[Cause]:
        return transitions.check(new, old)

    def warnings(self, obj: Obj) -> list[str]:
        spec, name = obj["spec"], obj["metadata"].get("name", "")
        found = pod_warnings.check(spec.get("template") or {}, "spec.template")
        if obj["metadata"].get("generation") == 1 and (wrong := names.dns_label(name)):
            found.append(
                "metadata.name: this is used in Pod names and hostnames, which can result in surprising "
                f"behavior; a DNS label is recommended: [{' '.join(wrong)}]"
            )
        many = (spec.get("completions") or 0) > SOFT_LIMIT and (spec.get("parallelism") or 0) > HIGH_LIMIT
        if many and spec.get("completionMode") == "Indexed":
            found.append(
                "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism "
                "higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number "
                "of indexes fail"
            )
        return found

    def row(self, obj: Obj, now: datetime) -> list[Any]:
        spec = obj["spec"]
        return [
            obj["metadata"]["name"], _state(obj), _progress(obj), _duration(obj, now), cells.age(obj, now),
            *cells.containers(spec.get("template")), cells.selector(spec.get("selector")),
        ]  # fmt: skip

    def unknown_label(self, label: str) -> str:
        return f'field label "{label}" not supported for Job'

    def field(self, obj: Obj, path: str) -> str:
        if path == "status.successful":
            return str((obj.get("status") or {}).get("succeeded", 0))
        return super().field(obj, path)


def _label(obj: Obj) -> None:
    """A job without labels has its template's."""
    labels = (obj["spec"]["template"].get("metadata") or {}).get("labels")
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)


def default_spec(spec: Obj) -> None:
    """A JobSpec."""
    pod_defaults.template(spec.setdefault("template", {}))
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6 if spec.get("backoffLimitPerIndex") is None else MAX_INT32)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    failure = spec.get("podFailurePolicy")
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed" if failure is None else "Failed")
    spec.setdefault("manualSelector", False)
    for rule in (failure or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern.setdefault("status", "True")


def _tie(obj: Obj) -> None:
    """Labels for the pods that no other job has, and the selector for them."""
    name, uid = obj["metadata"].get("name", ""), obj["metadata"].get("uid", "")
    spec = obj["spec"]
    meta = spec["template"].setdefault("metadata", {})
    wanted = {**dict.fromkeys(NAME_LABELS, name), **dict.fromkeys(UID_LABELS, uid)}
    meta["labels"] = {**wanted, **(meta.get("labels") or {})}
    selector = spec.get("selector") or {}
    labels = {UID_LABELS[1]: uid, **(selector.get("matchLabels") or {})}
    spec["selector"] = {**selector, "matchLabels": labels}


def _selector(obj: Obj) -> list[Cause]:
    spec = obj["spec"]
    selector = spec.get("selector")
    if selector is None:
        return [causes.required("spec.selector")]
    found = label_selector(selector, "spec.selector")
    if found:
        return found
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    if not spec.get("manualSelector"):
        name, uid = obj["metadata"].get("name", ""), obj["metadata"].get("uid", "")
        wanted = {**dict.fromkeys(UID_LABELS, uid), **dict.fromkeys(NAME_LABELS, name)}
        for key, value in wanted.items():
            if labels.get(key) != value:
                path = f"spec.template.metadata.labels[{key}]"
                found.append(causes.invalid(path, labels, f"must be '{value}'"))
        if not selectors.from_label_selector(selector).matches(wanted):
            found.append(causes.invalid("spec.selector", selector, "`selector` not auto-generated"))
    if not selectors.from_label_selector(selector).matches(labels):
        detail = "`selector` does not match template `labels`"
        found.append(causes.invalid("spec.template.metadata.labels", labels, detail))
    return found


def _hostnames(obj: Obj) -> list[Cause]:
    """The pods of an indexed job are named after it and their index."""
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    last = (spec.get("completions") or 0) - 1
    if spec.get("completionMode") != "Indexed" or last < 0 or not names.dns_label(f"{name}-{last}"):
        return []
    detail = f"will not able to create pod with invalid DNS label: {name}-{last}"
    return [causes.invalid("metadata.name", name, detail)]


def check_spec(spec: Obj, path: str) -> list[Cause]:
    """A JobSpec, its selector apart."""
    found: list[Cause] = []
    for key in _NUMBERS:
        found += values.not_negative(spec.get(key), f"{path}.{key}")
    found += values.optional_one_of(spec.get("completionMode"), f"{path}.completionMode", MODES)
    found += _indexed(spec, path)
    if spec.get("managedBy") is not None:
        found += _manager(spec["managedBy"], f"{path}.managedBy")
    if spec.get("podFailurePolicy") is not None:
        found += policies.failure_policy(spec, f"{path}.podFailurePolicy")
    if spec.get("successPolicy") is not None and spec.get("completionMode") == "Indexed":
        found += policies.success_policy(spec, f"{path}.successPolicy")
    supported = REPLACEMENTS if spec.get("podFailurePolicy") is None else REPLACEMENTS[:1]
    policy = spec.get("podReplacementPolicy")
    found += values.optional_one_of(policy, f"{path}.podReplacementPolicy", supported)
    found += pod_validation.check_template(spec["template"], f"{path}.template")
    return found + _restarts(spec, f"{path}.template.spec.restartPolicy")


def _manager(name: str, path: str) -> list[Cause]:
    """A domain, and a path below it."""
    found = values.domain_path(name, path)
    if len(name) > MANAGER_LIMIT:
        found.append(causes.too_long(path, MANAGER_LIMIT))
    return found


def _indexed(spec: Obj, path: str) -> list[Cause]:
    found: list[Cause] = []
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        found.append(causes.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if spec.get("completionMode") != "Indexed":
        return found + [
            causes.invalid(f"{path}.{key}", spec[key], "requires indexed completion mode")
            for key in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy")
            if spec.get(key) is not None
        ]
    if spec.get("completions") is None:
        found.append(causes.required(f"{path}.completions", "when completion mode is Indexed"))
    elif spec.get("maxFailedIndexes", 0) > spec["completions"]:
        detail = "must be less than or equal to completions"
        found.append(causes.invalid(f"{path}.maxFailedIndexes", spec["maxFailedIndexes"], detail))
    if spec.get("parallelism", 0) > MAX_INDEXED:
        detail = f"must be less than or equal to {MAX_INDEXED} when completion mode is Indexed"
        found.append(causes.invalid(f"{path}.parallelism", spec["parallelism"], detail))
    if spec.get("maxFailedIndexes", 0) > MAX_INDEXED:
        detail = f"must be less than or equal to {MAX_INDEXED}"
        found.append(causes.invalid(f"{path}.maxFailedIndexes", spec["maxFailedIndexes"], detail))
    return found + _many_indexes(spec, path)


def _many_indexes(spec: Obj, path: str) -> list[Cause]:
    """The status has to hold the indexes that are done and those that are lost."""
    if (spec.get("completions") or 0) <= SOFT_LIMIT or spec.get("backoffLimitPerIndex") is None:
        return []
    found: list[Cause] = []
    if spec.get("maxFailedIndexes") is None:
        detail = f"must be specified when completions is above {SOFT_LIMIT}"
        found.append(causes.required(f"{path}.maxFailedIndexes", detail))
    for key in ("parallelism", "maxFailedIndexes"):
        if (spec.get(key) or 0) > HIGH_LIMIT:
            detail = (
                f"must be less than or equal to {HIGH_LIMIT} when completions are above {SOFT_LIMIT} and "
                "used with backoff limit per index"
            )
            found.append(causes.invalid(f"{path}.{key}", spec[key], detail))
    return found


def _restarts(spec: Obj, path: str) -> list[Cause]:
    policy = spec["template"]["spec"].get("restartPolicy")
    if policy in (None, "", "Always"):
        return [causes.required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in RESTART_POLICIES:
        return [causes.not_supported(path, policy, RESTART_POLICIES)]
    if spec.get("podFailurePolicy") is not None and policy != "Never":
        return [causes.invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def _completions(spec: Obj, former: Obj) -> list[Cause]:
    now, before = spec.get("completions"), former.get("completions")
    if now == before:
        return []
    if spec.get("completionMode") != "Indexed" or now is None or before is None:
        return [causes.immutable("spec.completions", now)]
    if now != spec.get("parallelism"):
        detail = "can only be modified in tandem with spec.parallelism"
        return [causes.invalid("spec.completions", now, detail)]
    return []


def _has(conditions: Sequence[Obj], kind: str) -> bool:
    return any(entry.get("type") == kind and entry.get("status") == "True" for entry in conditions)


def _state(job: Obj) -> str:
    conditions = (job.get("status") or {}).get("conditions") or ()
    for kind in ("Complete", "Failed"):
        if _has(conditions, kind):
            return kind
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if _has(conditions, kind):
            return kind
    return "Running"


def _progress(job: Obj) -> str:
    spec, done = job["spec"], (job.get("status") or {}).get("succeeded", 0)
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(job: Obj, now: datetime) -> str:
    status = job.get("status") or {}
    if not status.get("startTime"):
        return ""
    end = cells.moment(status["completionTime"]) if status.get("completionTime") else now
    return cells.human(end - cells.moment(status["startTime"]))
