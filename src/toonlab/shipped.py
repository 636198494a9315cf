"""Networks that come with toonlab: trained by us, on images whose licence allows it, each with its card."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("weights")
DEFAULT = "peppercarrot"
"""Paints where no checkpoint is named."""


def shipped() -> dict[str, Path]:
    """Return the bundles that come with toonlab, by name."""
    return {path.parent.name: path.parent for path in sorted(FOLDER.glob("*/toonlab.json"))}
