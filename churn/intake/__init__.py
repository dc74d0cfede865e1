"""From a dropped file to stored rows: look at it, read it by the column contract, keep what is new, recount."""
