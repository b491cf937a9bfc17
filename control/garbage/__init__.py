"""The garbage collector: what is owned goes with its owners, as far and in the order that the deletion asks
for."""
