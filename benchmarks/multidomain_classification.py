"""Residual adapters where they come from: one trunk that classifies several domains (Rebuffi et al. 2017, 2018).

    pip install 'toonlab[benchmarks]'
    python benchmarks/multidomain_classification.py            # all of docs/adapters_classification.md
    python benchmarks/multidomain_classification.py --quick    # seconds; needs nothing but toonlab

A trunk learns the first domain. Each other domain is then learned with the trunk frozen (a head alone; norms;
adapters of three kinds), by a copy of the trunk all of which is trained, and from random weights. Interrupted,
it goes on where it was; what is finished is never repeated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from domains import DOMAINS, Domain
from multidomain_learning import WAYS, Learner, Result, learn, learn_jointly, pretrain
from multidomain_table import chart, table

ROOT = Path(__file__).resolve().parents[1]
Job = tuple[int, str]  # a seed and what to do


@cache
def loaded(names: tuple[str, ...]) -> list[Domain]:
    return [DOMAINS[name]() for name in names]


def do(job: Job, options: argparse.Namespace) -> None:
    """Do one job and write its results; the first line of defence against doing it twice is `main`."""
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
        body = torch.load(options.output / f"{seed} {which}.pt", weights_only=False)  # our own, of a minute ago
        learner = Learner(options.iterations)
        results = [
            learn(task, body, domain, options.width, options.rank, learner, seed) for domain in domains[1:]
        ]
    written = options.output / f"{seed} {task}.part"
    written.write_text(json.dumps([result._asdict() for result in results]))
    written.rename(written.with_suffix(".json"))  # all of it or nothing


def prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    torch.set_num_threads(1)


def settle(options: argparse.Namespace) -> None:
    """Refuse to mix results of other settings into a folder."""
    settings: dict[str, Any] = {k: v for k, v in vars(options).items() if k not in ("output", "workers", "chart")}
    options.output.mkdir(parents=True, exist_ok=True)
    kept = options.output / "settings.json"
    if kept.exists() and json.loads(kept.read_text()) != settings:
        sys.exit(f"{options.output} holds results of other settings ({kept}): choose another --output")
    kept.write_text(json.dumps(settings))


def main(arguments: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS), help="the trunk's first")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions")
    parser.add_argument("--width", type=int, default=16, help="channels of the trunk's first stage, of three")
    parser.add_argument("--rank", type=int, default=4, help="of the low-rank adapters")
    parser.add_argument("--trunk-iterations", type=int, default=1000, help="batches of 32 for the trunk")
    parser.add_argument("--iterations", type=int, default=250, help="batches of 32 for each further domain")
    parser.add_argument("--workers", type=int, default=2, help="processes, of a thread each")
    parser.add_argument("--quick", action="store_true", help="two domains, narrow and short: does it run?")
    parser.add_argument("--output", type=Path, help="results so far [outputs/benchmarks/multidomain]")
    parser.add_argument("--chart", type=Path, help="draw the table as this picture too; needs matplotlib")
    options = parser.parse_args(arguments)
    if options.quick:
        options.domains, options.seeds, options.width, options.rank = ["pictures", "digits"], 1, 8, 2
        options.trunk_iterations = options.iterations = 30
    options.output = options.output or ROOT / "outputs/benchmarks" / f"multidomain{'_quick' * options.quick}"
    settle(options)

    firsts = [(seed, task) for seed in range(options.seeds) for task in ("trunk", "trunk, prepared")]
    rest = [(seed, task) for seed in range(options.seeds) for task in ("joint", *WAYS)]
    every = [options.output / f"{seed} {task}.json" for seed, task in (*firsts, *rest)]
    bar = tqdm(total=len(every), initial=sum(path.exists() for path in every), unit="job")
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.workers, prepare_worker) as pool, bar:
        for stage in (firsts, rest):  # a trunk has to be there before it is built on
            jobs = [job for job in stage if not (options.output / f"{job[0]} {job[1]}.json").exists()]
            for _ in pool.imap_unordered(partial(do, options=options), jobs):
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
