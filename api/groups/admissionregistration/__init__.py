"""The group admissionregistration.k8s.io: webhook configurations and admission policies."""

from podium.api.groups.admissionregistration import policies, webhooks
from podium.api.strategy import Strategy
from podium.api.types import resources
from podium.api.types.resources import Resource

STRATEGIES: dict[Resource, type[Strategy]] = {
    resources.MUTATING_ADMISSION_POLICIES: policies.MutatingPolicies,
    resources.MUTATING_ADMISSION_POLICY_BINDINGS: policies.MutatingBindings,
    resources.MUTATING_WEBHOOK_CONFIGURATIONS: webhooks.MutatingWebhooks,
    resources.VALIDATING_ADMISSION_POLICIES: policies.Policies,
    resources.VALIDATING_ADMISSION_POLICY_BINDINGS: policies.ValidatingBindings,
    resources.VALIDATING_WEBHOOK_CONFIGURATIONS: webhooks.Webhooks,
}
