"""What two or more of the scripts need, and nothing else."""
