"""2D detectors, each a program in a process of its own: they want other packages than we do."""
