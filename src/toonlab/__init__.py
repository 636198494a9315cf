"""toonlab: turn photographs into cartoons, and compare the ways to do it."""

__version__ = "0.1.0"
