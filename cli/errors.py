"""The one way a command fails: a sentence that names the cause, and exit code 1."""


class CommandError(Exception):
    """What stops a command; its text is for the person who typed it."""
