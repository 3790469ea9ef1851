"""Programs that need several of the packages: the haste command, the demo, the simulated microscope."""
