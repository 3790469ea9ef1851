"""Finding out why HASTE does not work here, and what to do about it."""
