"""Load balancers without a cloud: a Service of that type gets the nodes' own addresses."""
