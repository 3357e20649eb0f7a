"""The agent on a school device: it sees, matches, captures, keeps, and sends, until the box says it has it.

It ships to school devices and imports nothing of the appliance: the two meet only in the wire contract
that `message` writes down.
"""

__version__ = "0.1.0"
