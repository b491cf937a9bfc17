"""The life of pods on one node.

`model` says what is known about a pod on this machine, `decide` what is to be done next and `status` what to
tell the API server: pure functions of the pod, what is known and the time. `worker` runs one task per pod
that does what was decided and keeps the knowledge true; `manager` holds the workers.
"""
