"""``pmexport inspect``: what is in a file, as prose, JSON or one page."""
