"""The door to the scoring model: text in, a score for every category out, with reasons."""
