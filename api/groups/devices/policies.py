"""How much of a device's capacity one claim can ask for. Source: CapacityRequestPolicy; KEP-5075."""

from __future__ import annotations

from podium.api.groups.devices import parts
from podium.api.types import Obj, quantity
from podium.api.types.errors import Cause
from podium.api.validation import causes

MOST_OPTIONS = 10


def check(capacity: Obj, path: str, shared: bool) -> list[Cause]:
    """A DeviceCapacity; `shared`: whether the device can be given to several claims."""
    policy, where = capacity.get("requestPolicy"), f"{path}.requestPolicy"
    if policy is None:
        return []
    if not shared:
        return [causes.forbidden(where, "allowMultipleAllocations must be true")]
    options, spread = policy.get("validValues") or [], policy.get("validRange")
    if options and spread is not None:
        detail = (
            'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same '
            "time"
        )
        return [causes.forbidden(where, detail)]
    key = "validValues" if options else "validRange"
    if not options and spread is None:
        return []
    if policy.get("default") is None:
        return [causes.required(f"{where}.default", f"required when {key} is defined")]
    most, default = str(capacity.get("value", "0")), str(policy["default"])
    if options:
        return _options([str(each) for each in options], default, most, f"{where}.{key}")
    return _range(spread, default, most, f"{where}.{key}")


def _options(options: list[str], default: str, most: str, path: str) -> list[Cause]:
    sizes = [quantity.parse(each) for each in options]
    found = [
        causes.invalid(f"{path}[{index}]", options[index], "values must be sorted in ascending order")
        for index in range(1, len(options))
        if sizes[index - 1] > sizes[index]
    ]

    def fits(option: str, where: str) -> list[Cause]:
        if quantity.parse(option) <= quantity.parse(most):
            return []
        return [causes.invalid(where, option, f"option is larger than capacity value: {most}")]

    found += parts.unique(options, MOST_OPTIONS, fits, path, lambda option: str(int(quantity.parse(option))))
    if quantity.parse(default) not in sizes:
        detail = "default value is not valid according to the requestPolicy"
        found.append(causes.invalid(path, default, detail))
    return found


def _range(spread: Obj, default: str, most: str, path: str) -> list[Cause]:
    least, top, step = (spread.get(key) for key in ("min", "max", "step"))
    if least is None:
        return [causes.required(f"{path}.min", "required when validRange is defined")]
    low, size, wanted = (quantity.parse(text) for text in (least, most, default))
    told: list[tuple[bool, str, str, str]] = [
        (low > size, "min", least, f"min is larger than capacity value: {most}"),
        (wanted < low, "min", default, f"default is less than min: {least}"),
    ]
    if top is not None:
        high = quantity.parse(top)
        told += [
            (low > high, "max", least, f"min is larger than max: {top}"),
            (high > size, "max", top, f"max is larger than capacity value: {most}"),
            (wanted > high, "max", default, f"default is more than max: {top}"),
        ]
    if step is not None:
        stride = quantity.parse(step)
        detail = f"one step {low + stride} is larger than capacity value: {most}"
        told.append((low + stride > size, "step", step, detail))
        detail = f"value is not a multiple of a given step ({step}) from ({least})"
        for text in (default, *([top] if top is not None else ())):
            off = bool(stride) and (quantity.parse(text) - low) % stride != 0
            told.append((off, "step", text, detail))
    return [
        causes.invalid(f"{path}.{key}", str(shown), detail) for fault, key, shown, detail in told if fault
    ]
