"""A folder of results that belong together."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def settle(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make `folder`, or see that what it holds was made with equal settings; leave if it was not."""
    kept, text = folder / "settings.json", json.dumps(settings, indent=1, default=str)
    folder.mkdir(parents=True, exist_ok=True)
    if kept.exists() and kept.read_text() != text:
        sys.exit(f"{folder} holds results of other settings ({kept}): choose another --output")
    kept.write_text(text)
