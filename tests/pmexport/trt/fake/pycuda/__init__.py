"""PyCUDA in disguise."""
