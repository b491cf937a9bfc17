"""Admission policies: what CEL expressions say to writes. `evaluation` is what an expression sees, `params`
where its parameters come from, `validating` and `mutating` what follows, `dispatch` which policies concern a
request.

Source: API reference, admissionregistration/v1; docs, "Validating Admission Policy", "Mutating Admission
Policy".
"""

from podium.api.admission.policies.dispatch import Policies

__all__ = ["Policies"]
