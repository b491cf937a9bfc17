"""What a Job and one of its pods say by themselves. Source: batch/v1 JobSpec, JobStatus; kubernetes.io
"Well-Known Labels, Annotations and Taints"."""

from __future__ import annotations

from podium.api.types import Obj
from podium.api.types.meta import controller_of, deleting
from podium.control import conditions
from podium.control.pods import phase

TRACKING = "batch.kubernetes.io/job-tracking"
"""The finalizer that keeps a pod until it is counted."""
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
CONTROLLER = "kubernetes.io/job-controller"
MAX_INT32 = 2**31 - 1

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
FAILURE_TARGET, SUCCESS_CRITERIA_MET = "FailureTarget", "SuccessCriteriaMet"
LET_GO = {"metadata": {"$deleteFromPrimitiveList/finalizers": [TRACKING]}}
"""The strategic merge patch that takes the finalizer from a pod."""


def holds(job: Obj, kind: str) -> bool:
    """Whether the job's condition `kind` is true."""
    found = conditions.find((job.get("status") or {}).get("conditions") or (), kind)
    return found is not None and found["status"] == "True"


def finished(job: Obj) -> str:
    """The condition that says how the job ended, "" while it has not."""
    return next((kind for kind in (COMPLETE, FAILED) if holds(job, kind)), "")


def foreign(job: Obj) -> bool:
    """Whether another controller than ours looks after the job."""
    return bool(job["spec"].get("managedBy", CONTROLLER) != CONTROLLER)


def suspended(job: Obj) -> bool:
    return bool(job["spec"].get("suspend"))


def indexed(job: Obj) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def replaces_only_failed(spec: Obj) -> bool:
    """Whether a pod that is being deleted has to have ended before it counts as failed and is replaced."""
    return spec.get("podReplacementPolicy") == "Failed" or spec.get("podFailurePolicy") is not None


def tracked(pod: Obj) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def failed(pod: Obj, spec: Obj) -> bool:
    if phase(pod) == "Failed":
        return True
    return not replaces_only_failed(spec) and deleting(pod) and phase(pod) != "Succeeded"


def index_of(pod: Obj) -> int | None:
    """The pod's completion index, None without a sensible one."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdecimal() else None


def count_of(pod: Obj, annotation: str) -> int:
    """The number an annotation holds; 0 without one or where it is no 32-bit count."""
    text = (pod["metadata"].get("annotations") or {}).get(annotation, "")
    return int(text) if text.isdecimal() and int(text) <= MAX_INT32 else 0


def index_failures(pod: Obj) -> int:
    """How many pods of this index failed before this one, those that did not count included."""
    return count_of(pod, FAILURES) + count_of(pod, IGNORED_FAILURES)


def owner_job(pod: Obj) -> Obj | None:
    """The reference to the Job that controls the pod, if one does."""
    owner = controller_of(pod)
    return owner if owner and owner["kind"] == "Job" and owner["apiVersion"] == "batch/v1" else None
