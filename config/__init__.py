"""Pipelines, policies, name presets and example settings that ship with HASTE server."""
