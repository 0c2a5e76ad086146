"""The simulator: CPUs, caches and contended lines as a discrete-event model. It measures nothing."""
