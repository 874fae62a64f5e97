"""Sinks: systems that records are forwarded to. One class for each type, and a registry."""
