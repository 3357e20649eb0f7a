"""Faults that only the person who runs the box can put right."""


class InstallationError(RuntimeError):
    """Something the box needs is missing, or is not what it should be. The message is one sentence that says what."""
