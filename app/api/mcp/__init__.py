"""Tools for language models over the Model Context Protocol; each calls a route of the API."""
