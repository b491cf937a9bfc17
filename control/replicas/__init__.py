"""ReplicaSets and ReplicationControllers: so many pods of one template, no more, no fewer."""
