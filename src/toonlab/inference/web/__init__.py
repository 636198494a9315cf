"""A folder whose page paints in the visitor's own browser (docs/web.md)."""
