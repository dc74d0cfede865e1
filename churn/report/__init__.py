"""The parts of the report: what it says, its pictures, and its two layouts."""
