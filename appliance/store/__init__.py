"""The only room with SQL. Everything the box remembers is written and read here."""
