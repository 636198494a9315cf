"""What flow-based abstraction costs, and how near its short cuts are.

    OMP_NUM_THREADS=1 python benchmarks/flow.py [--size 512] [--rounds 7]

Processor milliseconds on one core, medians; every round runs all versions in turn. The scalar version is the
definition of an edge tangent flow iteration, tap by tap (sign, weight, product), compiled by numba.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from pathlib import Path

import cv2
import numba
import numpy as np
import skimage
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from toonlab import images as im
from toonlab.data.demo import _PICTURES, _find
from toonlab.representations.flow import EdgeTangentFlow, FlowAbstraction, FlowBilateral, FlowLines, Tones


@numba.njit(nogil=True)
def scalar_iteration(tangents, magnitude, radius, hyperbolic):
    """Kang et al. 2009, eq. 1 to 5, as written."""
    height, width = magnitude.shape
    out = np.zeros_like(tangents)
    for row in range(height):
        for column in range(width):
            sx, sy = np.float32(0), np.float32(0)
            for y in range(max(0, row - radius), min(height, row + radius + 1)):
                for x in range(max(0, column - radius), min(width, column + radius + 1)):
                    if math.sqrt((x - column) ** 2 + (y - row) ** 2) >= radius:
                        continue
                    dot = (
                        tangents[row, column, 0] * tangents[y, x, 0]
                        + tangents[row, column, 1] * tangents[y, x, 1]
                    )
                    sign = np.float32(1 if dot > 0 else -1)
                    rise = magnitude[y, x] - magnitude[row, column]
                    w_m = (1 + (math.tanh(rise) if hyperbolic else rise)) / 2
                    weight = sign * w_m * abs(dot)
                    sx += weight * tangents[y, x, 0]
                    sy += weight * tangents[y, x, 1]
            length = math.sqrt(sx * sx + sy * sy)
            if length > 0:
                out[row, column, 0], out[row, column, 1] = sx / length, sy / length
    return out


def rows_and_columns(tangents, magnitude, radius):
    """The paper's own short cut: the same weights along the row, then along the column."""
    for axis in (1, 0):
        total = np.zeros_like(tangents)
        for shift in range(-radius + 1, radius):
            there, rise = np.zeros_like(tangents), np.zeros_like(magnitude)
            to = [slice(None), slice(None)]
            of = [slice(None), slice(None)]
            to[axis] = slice(max(0, -shift), magnitude.shape[axis] - max(0, shift))
            of[axis] = slice(max(0, shift), magnitude.shape[axis] - max(0, -shift))
            there[tuple(to)] = tangents[tuple(of)]
            rise[tuple(to)] = magnitude[tuple(of)] - magnitude[tuple(to)]
            total += ((1 + rise) * (tangents * there).sum(-1))[..., None] * there
        length = np.hypot(total[..., 0], total[..., 1])
        tangents = total / np.where(length > 0, length, 1)[..., None]
    return tangents


def degrees(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    cross = np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
    return np.degrees(np.arctan2(cross, np.abs((a * b).sum(-1))))[(a != 0).any(-1)]


def milliseconds(work):
    start = time.thread_time()
    work()
    return 1000 * (time.thread_time() - start)


def medians(works, rounds):
    for work in works.values():
        work()
    times = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(milliseconds(work))
    return {name: sorted(values)[rounds // 2] for name, values in times.items()}


def table(pictures, rounds):
    rows, short_cuts = [], []
    for name, rgb in pictures.items():
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        start = EdgeTangentFlow(iterations=0)(grey)
        blurred = cv2.GaussianBlur(grey, (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE)
        gradient = [
            cv2.Sobel(blurred, cv2.CV_32F, *d, borderType=cv2.BORDER_REPLICATE) for d in ((1, 0), (0, 1))
        ]
        magnitude = cv2.magnitude(*gradient)
        magnitude /= magnitude.max()
        tangents = EdgeTangentFlow()(grey)
        times = medians(
            {
                "gradient": lambda g=grey: EdgeTangentFlow(iterations=0)(g),
                "etf1": lambda g=grey: EdgeTangentFlow(iterations=1)(g),
                "etf3": lambda g=grey: EdgeTangentFlow()(g),
                "lines": lambda g=grey, t=tangents: FlowLines()(g, t),
                "bilateral": lambda r=rgb, t=tangents: FlowBilateral()(r, t),
                "scalar": lambda t=start, m=magnitude: scalar_iteration(t, m, 5, False),
                "scalar tanh": lambda t=start, m=magnitude: scalar_iteration(t, m, 5, True),
                "tanh1": lambda g=grey: EdgeTangentFlow(iterations=1, weight="tanh")(g),
            },
            rounds,
        )
        one, tanh = times["etf1"] - times["gradient"], times["tanh1"] - times["gradient"]
        rows.append(
            f"| {name} | {one:.1f} | {times['scalar']:.1f} | {times['scalar'] / one:.1f} | {tanh:.1f} | "
            f"{times['scalar tanh']:.1f} | {times['scalar tanh'] / tanh:.1f} | {times['etf3']:.1f} | "
            f"{times['lines']:.1f} | {times['etf3'] + times['lines']:.1f} | {times['bilateral']:.0f} |"
        )
        exact = {w: EdgeTangentFlow(weight=w, method="full")(grey) for w in ("linear", "tanh")}
        errors = [np.percentile(degrees(exact[w], EdgeTangentFlow(weight=w)(grey)), 99.9) for w in exact]
        cross = start
        for _ in range(3):
            cross = rows_and_columns(cross, magnitude, 5)
        errors.append(np.percentile(degrees(exact["linear"], cross), 99.9))
        short_cuts.append(f"| {name} | " + " | ".join(f"{e:.3f}" for e in errors) + " |")
    print(
        "| picture | one ETF iteration | scalar | ratio | tanh weight | scalar | ratio | ETF, 3 | FDoG | "
        "both | FBL, 4 |"
    )
    print("|" + "---|" * 11)
    print("\n".join(rows))
    print("\nDegrees between the exact direction and a short cut's after 3 iterations, 99.9th percentile:\n")
    print("| picture | ours, linear | ours, tanh | the paper's rows, then columns |")
    print("|---|---|---|---|")
    print("\n".join(short_cuts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels a side (default 512)")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    side = arguments.size
    pictures = {
        Path(name).stem: cv2.resize(
            np.asarray(im.decode(_find(name)).rgb), (side, side), interpolation=cv2.INTER_AREA
        ).astype(np.float32)
        for name in _PICTURES["photos"]
    }
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"numba {numba.__version__}, OpenCV {cv2.__version__}, scikit-image {skimage.__version__}; "
        f"{side}x{side}, one core, CPU ms, medians of {arguments.rounds}\n"
    )
    table(pictures, arguments.rounds)
    drawing = FlowAbstraction(
        field=EdgeTangentFlow(), lines=FlowLines(), colours=FlowBilateral(), tones=Tones(), threads=1
    )
    image = im.to_tensor(im.decode(_find("skimage/data/astronaut.png")).rgb)[None]
    whole = medians({"whole": lambda: drawing(image)}, arguments.rounds)["whole"]
    print(f"\nA whole 512x512 cartoon: {whole:.0f} ms.")


if __name__ == "__main__":
    main()
