"""Everything that can run an exported model."""
