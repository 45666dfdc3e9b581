"""The compiled kernels as PyTorch operators."""
