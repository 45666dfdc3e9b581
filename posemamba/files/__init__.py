"""What is read and written: outputs whole or not at all, pickles never executed."""
