"""Built engines: what their sidecars say, this machine's GPU, the plugin's place in TensorRT."""
