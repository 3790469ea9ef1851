"""The REST API: each view parses a request, makes one call, and shows the answer."""
