"""Clips with true poses: what networks are trained on and measured with."""
