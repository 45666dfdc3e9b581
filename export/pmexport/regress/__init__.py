"""``pmexport regress``: models, precisions and runtimes in one report."""
