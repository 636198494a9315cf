"""Forward and backward of White-box's UNet: OMP_WAIT_POLICY=PASSIVE python benchmarks/waiting_threads.py.

Run it with and without the variable, on an idle machine and beside a training.
"""

import os
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from toonlab.networks.unet import UNet


def main() -> None:
    torch.manual_seed(0)
    generator, photos = UNet(width=32), torch.randn(4, 3, 96, 96)
    seconds = []
    for _ in range(14):
        start = time.perf_counter()
        generator(photos).sum().backward()
        seconds.append(time.perf_counter() - start)
    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    median = statistics.median(seconds[2:])  # the first ones allocate
    print(
        f"{policy}: {torch.get_num_threads()} threads, median {median:.3f} s, most {max(seconds[2:]):.3f} s"
    )


if __name__ == "__main__":
    main()
