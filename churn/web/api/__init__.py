"""The endpoints for programs: what they take and give, and their description."""
