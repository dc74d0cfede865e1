"""Whom to call, why, and whether calling helps."""
