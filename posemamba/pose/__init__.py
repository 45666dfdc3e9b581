"""Keypoints and poses as NumPy arrays: layouts, units, clips, metrics."""
