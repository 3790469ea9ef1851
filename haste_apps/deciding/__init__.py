"""Policies, pins, and why an image is where it is."""
