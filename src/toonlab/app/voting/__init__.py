"""`src/vote.py`: what paints, what was painted, and what the runs' scores say."""
