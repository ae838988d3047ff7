"""Training: what is asked for, what is planned, and the run that does it."""
