"""Our CycleGAN's speed beside a plain PyTorch loop of the same recipe, and what torch's switches add.

    python benchmarks/training.py [--sizes 128 256] [--pairs 8] [--methods cyclegan whitebox] [--device cpu]

1. Same arithmetic? From equal weights and batches both must report equal losses for three iterations, or
   it stops.
2. Speed. `method=cyclegan experiment=cyclegan_paper` through ToonMethod and Lightning, each iteration
   followed at once by one of the plain loop (`plain_cyclegan.py`) in the same process; tensors in memory. A
   last row adds our average (EMA), which the plain loop has not.
3. Switches. channels_last, bf16 autocast and torch.compile, alone and together, against the same method
   without, interleaved; no Lightning. `losses` is the largest relative difference of a loss at the first
   iteration.

Figures are medians (quartiles) over pairs; above 1 is faster than the plain loop, or than the method without
the switch. Processor time leaves out what the neighbours on a shared machine took; compiling is warm-up and
not in it. On a GPU read wall time only. A faster first look: --sizes 64 --switches channels_last bf16
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from plain_cyclegan import PlainCycleGAN

from toonlab.app.cli import CONF, register_resolvers
from toonlab.app.precision import is_native
from toonlab.app.setup import quiet
from toonlab.engine.progress import Progress
from toonlab.engine.records import Records
from toonlab.engine.terms import weighted_sum
from toonlab.heap import keep_freed

METHODS = {
    "cyclegan": (["method=cyclegan", "experiment=cyclegan_paper"], 1),
    "whitebox": (["method=whitebox", "method.warmup_iterations=0"], 4),
    "anime_scene": (["method=anime_scene", "method.warmup_iterations=0"], 4),
}
"""Overrides of `conf/train.yaml` and the batch size."""

SWITCHES = ("channels_last", "bf16", "compile")
SETS = [("channels_last",), ("bf16",), ("channels_last", "bf16"), ("compile",), SWITCHES]
SLOW_BF16 = 32  # pixels; where bf16 is emulated, it takes up to 280 times as long


def build(method: str, width: int, *overrides: str, device: str):
    """Return a method with networks of `width` (0: as configured) from seed 0."""
    if method == "cyclegan" and width:
        overrides += (f"method.generator.width={width}", f"method.d_source.width={width}")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*METHODS[method][0], *overrides])
    torch.manual_seed(0)
    built = instantiate(cfg.method, _convert_="all").to(device)
    built.config = {}
    return built


def batches(count: int, batch_size: int, size: int, device: str) -> list[dict[str, torch.Tensor]]:
    rng = torch.Generator().manual_seed(0)
    names = ("photo", "cartoon")
    return [
        {name: (torch.rand(batch_size, 3, size, size, generator=rng) * 2 - 1).to(device) for name in names}
        for _ in range(count)
    ]


def clocks(device: str) -> np.ndarray:
    if device == "cuda":
        torch.cuda.synchronize()
    return np.array([time.perf_counter(), time.process_time()])


def quartiles(ratios: np.ndarray) -> str:
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


class Beside(Callback):
    """Times Lightning's iteration, then runs and times a plain one; keeps both's losses."""

    def __init__(self, plain: PlainCycleGAN, device: str) -> None:
        self.plain, self.device = plain, device
        self.suite, self.loop, self.losses = [], [], []
        self.mark = np.zeros(2)

    def on_train_start(self, trainer, pl_module) -> None:
        self.mark = clocks(self.device)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        now = clocks(self.device)
        self.suite.append(now - self.mark)
        losses = self.plain.step(batch["photo"], batch["cartoon"])
        self.mark = clocks(self.device)
        self.loop.append(self.mark - now)
        self.losses.append((dict(pl_module.latest), losses))


def race(size: int, count: int, width: int, device: str, *overrides: str) -> Beside:
    """Train our CycleGAN and the plain one side by side for `count` iterations."""
    ours = build("cyclegan", width, *overrides, device=device)
    plain = PlainCycleGAN(width=width or 64, device=device)
    plain.start_from(ours.generator, ours.inverse_generator, ours.d_source, ours.d_target)
    beside = Beside(plain, device)
    callbacks = [Progress(iterations=count, every=5), Records(every=20, iterations=count), beside]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            max_epochs=1,
            callbacks=callbacks,
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(ours, DataLoader(batches(count, 1, size, device), batch_size=None))
    return beside


def check_equal(width: int, device: str) -> None:
    """Print three iterations' losses of both; exit if they differ by more than rounding."""
    print("Losses of three iterations at 64 px from equal weights and batches, suite | plain:\n")
    torch.backends.cudnn.allow_tf32 = False  # its 10 bits would hide a difference; back on below
    worst = []
    for i, (suite, plain) in enumerate(race(64, 3, width, device).losses, 1):
        pairs = {name: (suite[name].item(), value.item()) for name, value in plain.items()}
        print(
            f"{i}: "
            + "; ".join(f"{name} {ours:.6f} | {theirs:.6f}" for name, (ours, theirs) in pairs.items())
        )
        worst.append(max(abs(ours - theirs) / abs(theirs) for ours, theirs in pairs.values()))
    print("\nLargest relative differences:", ", ".join(f"{w:.1e}" for w in worst), "\n", flush=True)
    torch.backends.cudnn.allow_tf32 = True
    if worst[0] > 1e-5 or max(worst) > 1e-3:  # Adam's first steps blow rounding up
        sys.exit("these are two different things: no benchmark")


def compare(sizes: list[int], pairs: int, width: int, device: str) -> None:
    print("| CycleGAN | pixels | pairs | plain / suite, processor | wall | suite s/it | plain s/it |")
    print("|---|---|---|---|---|---|---|", flush=True)
    rows = [(size, ()) for size in sizes] + [(sizes[0], ("method.ema_half_life=500",))]
    for size, overrides in rows:
        count = max(3, pairs * sizes[0] ** 2 // size**2) + 1
        beside = race(size, count, width, device, *overrides)
        suite, loop = np.array(beside.suite)[1:], np.array(beside.loop)[1:]  # the first makes Adam's state
        wall, processor = (loop / suite).T
        seconds = [f"{np.median(times[:, device != 'cuda']):.3f}" for times in (suite, loop)]
        name = "with EMA" if overrides else "as published"
        cells = [name, size, count - 1, quartiles(processor), quartiles(wall), *seconds]
        print("|", " | ".join(map(str, cells)), "|", flush=True)


def step(method, batch, optimizers) -> dict[str, torch.Tensor]:
    """An iteration of any ToonMethod without Lightning; returns the unweighted losses."""
    losses = {}
    judges = [p for network in method.discriminators() for p in network.parameters()]
    for parameter in judges:
        parameter.requires_grad_(False)
    views = method.render(batch)
    sides = (
        (method.generator_terms, method.weights),
        (
            method.discriminator_terms,
            method.discriminator_weights,
        ),
    )
    for (terms, weights), optimizer in zip(sides, optimizers, strict=True):
        total, values = weighted_sum(terms(batch, views), weights, 0)
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        views = {name: view.detach() for name, view in views.items()}
        for parameter in judges:
            parameter.requires_grad_(True)
        losses |= values
    return {name: value.detach() for name, value in losses.items()}


class Switched:
    """A method under some of the switches, and the time its iterations took."""

    def __init__(self, method: str, switches: tuple[str, ...], size: int, width: int, device: str) -> None:
        self.switches, self.device, self.seconds = switches, device, []
        self.method = build(method, width, device=device).train()
        self.batch = batches(1, METHODS[method][1], size, device)[0]
        networks = self.method.generators() + self.method.discriminators()
        if "channels_last" in switches:
            self.method.to(memory_format=torch.channels_last)
            self.batch = {k: v.contiguous(memory_format=torch.channels_last) for k, v in self.batch.items()}
        if "compile" in switches:
            for network in networks:
                network.compile()
        self.optimizers = self.method.configure_optimizers()
        begin = time.perf_counter()
        self.first = self.run()  # compiles, and makes Adam's state
        self.warm_up = time.perf_counter() - begin
        self.seconds.clear()

    def run(self) -> dict[str, float]:
        begin = clocks(self.device)
        bf16 = torch.autocast(self.device, torch.bfloat16) if "bf16" in self.switches else nullcontext()
        with bf16:
            losses = step(self.method, self.batch, self.optimizers)
        self.seconds.append(clocks(self.device) - begin)
        return {name: value.item() for name, value in losses.items()}


def compare_switches(
    method: str, allowed: list[str], size: int, rounds: int, width: int, device: str
) -> None:
    sets = [chosen for chosen in SETS if set(chosen) <= set(allowed)]
    emulated = device == "cpu" and not is_native("bf16-mixed")
    groups = [(size, [s for s in sets if not (emulated and "bf16" in s)])]
    if emulated and "bf16" in allowed:
        groups.append((SLOW_BF16, [("bf16",)]))
    for pixels, sets in groups:
        base = Switched(method, (), pixels, width, device)
        for chosen in sets:
            cells = [method, pixels, " + ".join(chosen)]
            try:
                rival = Switched(method, chosen, pixels, width, device)
            except Exception as error:  # a switch that this machine cannot do is a finding, not a crash
                cells += [f"{type(error).__name__}: {str(error).strip().splitlines()[0][:150]}", "", "", ""]
            else:
                base.seconds.clear()
                for _ in range(rounds):
                    base.run()
                    rival.run()
                wall, processor = (np.array(base.seconds) / np.array(rival.seconds)).T
                apart = max(abs(rival.first[k] - v) / abs(v) for k, v in base.first.items())
                cells += [quartiles(processor), quartiles(wall), f"{rival.warm_up:.0f}", f"{apart:.1e}"]
            print("|", " | ".join(map(str, cells)), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", nargs="*", type=int, default=[128, 256], help="of part 2; none leaves it out"
    )
    parser.add_argument("--pairs", type=int, default=8, help="at the first size; fewer for larger pictures")
    parser.add_argument(
        "--methods", nargs="*", choices=METHODS, default=["cyclegan", "whitebox"], help="of part 3"
    )
    parser.add_argument("--switches", nargs="*", choices=SWITCHES, default=list(SWITCHES), help="of part 3")
    parser.add_argument("--size", type=int, default=64, help="pixels of part 3")
    parser.add_argument("--rounds", type=int, default=6, help="iterations of part 3")
    parser.add_argument("--width", type=int, default=0, help="of CycleGAN's networks; 0: as published")
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    keep_freed()  # as src/train.py does; it helps the plain loop in this process as well
    quiet()
    register_resolvers()
    if options.threads:
        torch.set_num_threads(options.threads)
    name = torch.cuda.get_device_name() if options.device == "cuda" else cpu()
    bf16 = "" if options.device == "cuda" else f", bf16 {'native' if is_native('bf16') else 'emulated'}"
    print(
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}{bf16}, {time.strftime('%F')}\n"
    )
    if options.sizes:
        check_equal(options.width, options.device)
        compare(options.sizes, options.pairs, options.width, options.device)
    if options.methods:
        print("\n| method | pixels | switches | faster, processor | wall | warm-up s | losses |")
        print("|---|---|---|---|---|---|---|", flush=True)
    for method in options.methods:
        compare_switches(
            method, options.switches, options.size, options.rounds, options.width, options.device
        )


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
