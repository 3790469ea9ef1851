"""What a server tells monitoring about itself: what its processes count, and looks that nobody waits for."""
