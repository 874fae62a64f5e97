"""Where reports come from when nobody sends them here."""
