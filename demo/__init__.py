"""A name server and a policy server on loopback, for ``./dev demo`` and the tests."""
