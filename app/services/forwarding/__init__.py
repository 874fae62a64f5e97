"""Exporting and forwarding of what is stored: the stream of records, sinks and their deliveries."""
