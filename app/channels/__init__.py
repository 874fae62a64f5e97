"""Ways out for alerts: each puts events into its receivers' form, and says what became of it."""
