"""What measures; README.md says what is in which room."""
