"""The selective scan in PyTorch: walk, oracle, chunked and recurrent forms."""
