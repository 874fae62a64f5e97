"""A little internet on loopback for ``./dev demo`` and the tests: name server, policy server."""
