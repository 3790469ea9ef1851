"""`haste report`: what became of a stream's images, as a page for people and as tables for programs."""
