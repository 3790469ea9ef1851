"""Image files: reading them whole or not at all, and writing them smaller."""
