"""Blind votes: who sees what where, what was picked, and what that says."""
