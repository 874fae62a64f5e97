"""Commands for the connections of accounts: mailboxes and sinks."""
