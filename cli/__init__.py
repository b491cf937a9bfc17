"""The command line: assembly only, no logic."""
