"""Many runs from one command: who runs where, what is done, what is left. Nothing here imports torch."""
