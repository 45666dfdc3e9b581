"""The network: blocks, sizes, inference, what its scans attend to."""
