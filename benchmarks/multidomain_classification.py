"""Residual adapters where they come from: one trunk that classifies several domains (Rebuffi et al. 2017).

    pip install 'toonlab[benchmarks]'
    python benchmarks/multidomain_classification.py            # all of docs/adapters_classification.md
    python benchmarks/multidomain_classification.py --quick    # seconds; needs nothing but toonlab

A trunk learns the first domain. Each other domain is then learned with the trunk frozen (a head alone; norms
too; adapters of three kinds), by a copy of the trunk all of which is trained, and from random weights.
Interrupted, it goes on where it was; what is finished is never repeated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from multidomain_data import DOMAINS, Domain
from multidomain_learning import WAYS, Learner, Result, learn, learn_jointly, pretrain
from multidomain_table import chart, table
from resumable import settle

ROOT = Path(__file__).resolve().parents[1]
TRUNKS = ("trunk", "trunk, prepared")
Job = tuple[int, str]  # a seed and what to do


@cache
def loaded(names: tuple[str, ...]) -> list[Domain]:
    return [DOMAINS[name]() for name in names]


def do(job: Job, options: argparse.Namespace) -> None:
    """Do one job and write its results."""
    seed, task = job
    domains = loaded(tuple(options.domains))
    first = Learner(options.trunk_iterations)
    if task.startswith("trunk"):
        body, result = pretrain(domains[0], options.width, first, seed, prepared=task == "trunk, prepared")
        torch.save(body, options.output / f"{seed} {task}.pt")
        results = [result]
    elif task == "joint":
        total = options.trunk_iterations + (len(domains) - 1) * options.iterations
        results = learn_jointly(domains, options.width, Learner(total), seed)
    else:
        which = "trunk, prepared" if task == "series, prepared trunk" else "trunk"
        body = torch.load(options.output / f"{seed} {which}.pt", weights_only=False)  # our own, just made
        learner = Learner(options.iterations)
        results = [
            learn(task, body, domain, options.width, options.rank, learner, seed) for domain in domains[1:]
        ]
    written = options.output / f"{seed} {task}.part"
    written.write_text(json.dumps([result._asdict() for result in results]))
    written.rename(written.with_suffix(".json"))  # all of it or nothing


@contextmanager
def workers(n: int) -> Iterator[Callable[..., Iterable[None]]]:
    """Give a `map` over `n` processes of a thread each; over this one if `n` is 0."""
    if not n:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(n, _prepare_worker) as pool:
        yield pool.imap_unordered


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    torch.set_num_threads(1)


def main(arguments: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS), help="the trunk's first"
    )
    parser.add_argument("--seeds", type=int, default=3, help="repetitions")
    parser.add_argument("--width", type=int, default=16, help="channels of the trunk's first stage, of three")
    parser.add_argument("--rank", type=int, default=4, help="of the low-rank adapters")
    parser.add_argument("--trunk-iterations", type=int, default=1200, help="batches of 32 for the trunk")
    parser.add_argument("--iterations", type=int, default=200, help="batches of 32 for each further domain")
    parser.add_argument("--workers", type=int, default=2, help="processes; 0 is this one")
    parser.add_argument("--quick", action="store_true", help="two domains, narrow and short: does it run?")
    parser.add_argument("--output", type=Path, help="results so far [outputs/benchmarks/multidomain]")
    parser.add_argument("--chart", type=Path, help="draw the table as this picture too; needs matplotlib")
    options = parser.parse_args(arguments)
    if options.quick:
        options.domains, options.seeds, options.width, options.rank = ["pictures", "digits"], 1, 8, 2
        options.trunk_iterations = options.iterations = 30
    options.output = options.output or ROOT / "outputs/benchmarks" / f"multidomain{'_quick' * options.quick}"
    free = ("output", "workers", "chart", "seeds")  # more repetitions are welcome any time
    settle(options.output, {name: value for name, value in vars(options).items() if name not in free})

    tasks = [(seed, stage) for seed in range(options.seeds) for stage in (TRUNKS, ("joint", *WAYS))]
    every = [options.output / f"{seed} {task}.json" for seed, stage in tasks for task in stage]
    bar = tqdm(total=len(every), initial=sum(path.exists() for path in every), unit="job")
    with workers(options.workers) as spread, bar:
        for seed, stage in tasks:  # a trunk has to be there before it is built on
            jobs = [(seed, task) for task in stage if not (options.output / f"{seed} {task}.json").exists()]
            for _ in spread(partial(do, options=options), jobs):
                bar.update()
    results = [Result(**each) for path in every for each in json.loads(path.read_text())]
    text = table(results)
    print(text)
    (options.output / "table.md").write_text(text + "\n")
    if options.chart:
        chart(results, options.chart)
    return text


if __name__ == "__main__":
    main()
