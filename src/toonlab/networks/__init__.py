"""Networks: generators, discriminators and frozen feature extractors; all take images in [-1, 1]."""
