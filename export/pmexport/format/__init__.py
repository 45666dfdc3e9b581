"""What an exported file is: names, operators, metadata, limits, integrity."""
