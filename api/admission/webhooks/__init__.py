"""Admission webhooks: servers of others that are asked about writes. `review` is what is said, `responses`
what is made of the answer, `client` how it travels, `dispatch` who is asked when.

Source: API reference, admissionregistration/v1 and admission/v1; docs, "Dynamic Admission Control"."""

from podium.api.admission.webhooks.client import WebhookClient
from podium.api.admission.webhooks.dispatch import Webhooks

__all__ = ["WebhookClient", "Webhooks"]
