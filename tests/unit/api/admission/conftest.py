from tests.unit.api.http.conftest import address, config, http, server

__all__ = ["address", "config", "http", "server"]
