"""The templates that a StatefulSet or DaemonSet ever had, each kept as a ControllerRevision to go back to."""
