"""The service proxy: Services and EndpointSlices as elements of nftables maps.

`plan` decides (pure, per service), `table` turns plans into transactions (pure, keeps what is installed),
`base` is the part that never changes, `proxy` watches and applies."""
