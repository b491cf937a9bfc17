"""Which pods answer for a Service: EndpointSlices, and the older Endpoints for those who still read them."""
