"""Pipelines, policies and example settings that ship with HASTE server."""
