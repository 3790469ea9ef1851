"""Commands that measure images in their own process: no server, nothing stored."""
