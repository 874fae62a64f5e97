"""Analysis of check results and reports; its modules are pure functions and values."""
