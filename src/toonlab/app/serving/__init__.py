"""The page of `src/serve.py`: what it offers, how it paints, and what it lets nobody do."""
