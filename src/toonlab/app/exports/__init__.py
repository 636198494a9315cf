"""What `src/export.py` writes: a module for each `kind`, with `TAKES` and `export(cfg)`."""
