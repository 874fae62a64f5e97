"""The command groups, one module for each."""
