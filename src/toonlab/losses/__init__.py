"""Loss terms: per-element means of tensors; weights live in the configs, never here."""
