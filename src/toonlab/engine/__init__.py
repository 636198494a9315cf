"""What every method shares: optimisation, EMA, checkpoints, records."""
