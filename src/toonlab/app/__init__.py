"""What the entry scripts do; the only package that knows Hydra and OmegaConf."""
