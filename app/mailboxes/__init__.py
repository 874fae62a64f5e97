"""Sources from which reports are fetched: mailboxes and files."""
