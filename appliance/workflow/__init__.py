"""What the box does, one verb a file. Each owns its transaction and writes the audit entry in it."""
