"""Units of work: a public function here opens, commits and closes what it needs."""
