"""How the app is served: workers, the release in production, logs, counts."""
