"""Mailboxes on the machine of the worker."""
