"""Tiers: named places for data, each behind a driver."""
