"""The way of files into the server."""
