"""The API server: HTTP in, objects out, a store underneath. Imports no other Podium package."""
