"""Graph passes, each in its own file."""
