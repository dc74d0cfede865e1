"""What was scored, known later, called, measured and decided, kept in a database for as long as it is wanted."""
