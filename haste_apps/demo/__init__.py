"""`haste demo`: the whole way of an image, on this machine, in one command."""
