"""cuda-python in disguise."""
