"""Many runs that learn from each other which values to try next. Nothing here imports torch."""
