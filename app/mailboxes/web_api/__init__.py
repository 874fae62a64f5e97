"""Mailboxes with a web API: Microsoft Graph and the Gmail API."""
