"""The processes of a server: how they start, watch one another, and stop."""
