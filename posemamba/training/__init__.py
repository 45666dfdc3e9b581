"""The paper's training: configuration, batches, the step, runs that can be resumed."""
