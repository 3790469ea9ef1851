"""The client library: submit images, follow their jobs."""
