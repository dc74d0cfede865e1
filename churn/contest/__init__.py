"""Champion and challengers on the same rows, and which of them is to be in production."""
