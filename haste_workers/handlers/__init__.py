"""The functions that do tasks, one module each."""
