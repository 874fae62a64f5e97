"""The order in which work of several accounts is done."""
