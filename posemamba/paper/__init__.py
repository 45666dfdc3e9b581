"""The paper's tables beside our own figures."""
