"""The options of types of mailboxes and sinks, and what is derived from them."""
