"""Readers: each opens files of one format as planes that are decoded when they are wanted."""
