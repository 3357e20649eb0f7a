"""Builds the scoring model from the texts in ``training/data``; nothing of this ships to the box."""
