"""``pmexport bench``: how long a model takes, said so that the numbers can be trusted."""
