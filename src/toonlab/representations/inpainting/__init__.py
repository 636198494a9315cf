"""What completing a damaged picture is made of: holes, first guesses, latent masks, a bank, a seamless blend.

A known-mask is a float tensor `(1, H, W)` or `(B, 1, H, W)`: 1 where the picture is known, 0 in the hole.
"""
