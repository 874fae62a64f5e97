"""What judgements and reports mean. Pure."""
