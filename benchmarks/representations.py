"""Every representation against what one would otherwise use, in one run, on one core each.

    python benchmarks/representations.py [FOLDER]

FOLDER: photographs for the structure table; scikit-image's own without it. Some ten minutes.
"""

import os
import subprocess
import sys
from pathlib import Path

PARTS = {"structure.py": [], "flow.py": [], "surface.py": ["--repeats", "3"]}


def main() -> None:
    for part, arguments in PARTS.items():
        print(f"\n## {part}\n", flush=True)
        folder = sys.argv[1:] if part == "structure.py" else []
        script = Path(__file__).with_name(part)
        subprocess.run(
            [sys.executable, script, *folder, *arguments],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


if __name__ == "__main__":
    main()
