"""What things are and what is allowed. Pure: standard library only, no I/O, no clock, no randomness."""
