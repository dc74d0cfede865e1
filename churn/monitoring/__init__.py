"""What new drops show of the model in production: shifts, scores, estimates."""
