"""Parity against PyTorch."""
