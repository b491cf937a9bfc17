"""Server-side apply: who owns which field of an object, and what an applied configuration makes of it.

Pure: nothing here does I/O. Source: kubernetes.io "Server-Side Apply"; KEP-555; the form of FieldsV1 is
that of sigs.k8s.io/structured-merge-diff.
"""
