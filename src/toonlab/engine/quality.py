"""What a network can ask of its painter, for pictures larger than those that it learned from."""

QUALITIES = ("full", "fast", "broad")
"""As they are; a small copy, lifted by the photo's edges; a small copy, enlarged, its lines sharpened."""
