"""Notification channels: each formats events for its receivers and returns the outcome."""
