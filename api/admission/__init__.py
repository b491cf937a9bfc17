"""Admission: what the cluster has to say to a write between defaults and the store. One file per concern;
each plugin is pure but for the store's memory that it reads."""

from podium.api.admission.chain import PROTECTION, TAINT, Admission
from podium.api.admission.request import AdmissionRequest, Cluster

__all__ = ["PROTECTION", "TAINT", "Admission", "AdmissionRequest", "Cluster"]
