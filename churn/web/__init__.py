"""The Flask app: its endpoints, its pages, and who may ask for what."""
