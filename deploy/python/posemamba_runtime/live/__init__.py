"""Live lifting: frames of JSON in, poses out, the delay told."""
