"""Who may ask for what: tokens, sessions, scopes."""
