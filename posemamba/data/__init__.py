"""Clips to train and evaluate on: readers, synthetic cameras, motion from package registries."""
