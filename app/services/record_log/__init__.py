"""The order in which records were stored, for exports and sinks."""
