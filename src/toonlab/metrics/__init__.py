"""Scores for unpaired image translation, each stored with the protocol that produced it."""
