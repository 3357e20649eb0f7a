"""Trustkeep: the box that notices a child at risk, and keeps the record."""

__version__ = "0.1.0"
