"""The simulator: CPUs, caches and contended lines as a discrete-event model. What comes of it is never a measurement."""
