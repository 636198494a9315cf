"""What ToonMethod and Lightning add to a training iteration, and how many iterations a second come out.

    python benchmarks/overhead.py [--sizes 64 128 256] [--methods whitebox cartoongan] [--iterations 60]

Each iteration of the suite is followed at once by the same iteration written as a plain loop, with networks,
losses and batches of its own but equal: a noisy neighbour slows both. Ratios are medians (quartiles) over
pairs, of wall time and of processor time, which leaves out what the neighbour took.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch.nn import functional
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from toonlab.app.cli import CONF, register_resolvers
from toonlab.app.setup import quiet
from toonlab.engine.progress import Progress
from toonlab.engine.records import Records
from toonlab.losses.perceptual import feature_distance
from toonlab.losses.pixel import total_variation
from toonlab.representations.surface import guided_filter


def whitebox_step(m, batch, g_optimizer, d_optimizer) -> None:
    """White-box's iteration as one would write it without a suite."""
    photo, real = batch["photo"], batch["cartoon"]
    judges = [*m.d_surface.parameters(), *m.d_texture.parameters()]
    for p in judges:
        p.requires_grad_(False)
    fake = guided_filter(photo, m.generator(photo), 1, 1e-2)
    ours = m.features(fake)
    with torch.no_grad():
        flat, wanted = m.features(m.structure(fake)), m.features(photo)
    surface = m.surface(fake)
    loss = 0.1 * m.adversarial.fool(m.d_surface(surface))
    loss = loss + m.adversarial.fool(m.d_texture(m.texture(fake, m.rng("texture"))))
    loss = loss + m.weights["structure"](0) * feature_distance(ours, flat)
    loss = loss + m.weights["content"](0) * feature_distance(ours, wanted)
    loss = loss + m.weights["tv"](0) * total_variation(fake)
    loss = loss + m.weights["colour"](0) * functional.l1_loss(surface, m.surface(photo))
    loss.backward()
    g_optimizer.step()
    g_optimizer.zero_grad()
    for p in judges:
        p.requires_grad_(True)
    fake, rng = fake.detach(), m.rng("labels")
    texture = [m.texture(images, m.rng("texture")) for images in (real, fake)]
    loss = m.adversarial.real(m.d_surface(m.surface(real)), rng) + m.adversarial.fake(
        m.d_surface(m.surface(fake)), rng
    )
    loss = loss + m.adversarial.real(m.d_texture(texture[0]), rng)
    loss = 0.5 * (loss + m.adversarial.fake(m.d_texture(texture[1]), rng))
    loss.backward()
    d_optimizer.step()
    d_optimizer.zero_grad()
    m.ema.update(m.generator, 1)


def cartoongan_step(m, batch, g_optimizer, d_optimizer) -> None:
    """CartoonGAN's iteration, likewise."""
    photo, judge, rng = batch["photo"], m.discriminator, m.rng("labels")
    for p in judge.parameters():
        p.requires_grad_(False)
    fake = m.generator(photo)
    with torch.no_grad():
        wanted = m.features(photo)
    content = feature_distance(m.features(fake), wanted)
    loss = m.adversarial.fool(judge(fake)) + m.weights["content"](0) * content
    colour = functional.l1_loss(m.surface(fake), m.surface(photo))
    (loss + m.weights["colour"](0) * colour).backward()
    g_optimizer.step()
    g_optimizer.zero_grad()
    for p in judge.parameters():
        p.requires_grad_(True)
    loss = m.adversarial.real(judge(batch["cartoon"]), rng) + m.adversarial.fake(judge(fake.detach()), rng)
    (loss + m.adversarial.fake(judge(batch["blurred"]), rng)).backward()
    d_optimizer.step()
    d_optimizer.zero_grad()
    m.ema.update(m.generator, 1)


STEPS = {"whitebox": whitebox_step, "cartoongan": cartoongan_step}


class Pairs(Callback):
    """Times Lightning's iteration, then runs and times a plain one."""

    def __init__(self, plain) -> None:
        self.plain, self.suite_seconds, self.plain_seconds, self.mark = plain, [], [], np.zeros(2)

    def on_train_start(self, trainer, pl_module) -> None:
        self.mark = clocks()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        now = clocks()
        self.suite_seconds.append(now - self.mark)
        self.plain(batch)
        self.mark = clocks()
        self.plain_seconds.append(self.mark - now)


def clocks() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def build(method: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"method={method}", "method.warmup_iterations=0"])
    torch.manual_seed(0)
    built = instantiate(cfg.method, _convert_="all")
    built.config = {}
    return built


def compare(
    method: str, size: int, batch_size: int, iterations: int
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return suite/plain of wall and processor time with its quartiles, and either's seconds an iteration."""
    ours, theirs = build(method), build(method)
    optimizers = theirs.configure_optimizers()
    generator = torch.Generator().manual_seed(0)
    names = ("photo", "cartoon", "blurred")
    batch = {name: torch.rand(batch_size, 3, size, size, generator=generator) * 2 - 1 for name in names}
    pairs = Pairs(lambda batch: STEPS[method](theirs, batch, *optimizers))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=1,
            callbacks=[
                Progress(iterations=iterations, every=5),
                Records(every=20, iterations=iterations),
                pairs,
            ],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(ours, DataLoader([batch] * iterations, batch_size=None))
    suite, plain = (np.array(seconds)[2:] for seconds in (pairs.suite_seconds, pairs.plain_seconds))
    wall, processor = np.quantile(suite / plain, [0.25, 0.5, 0.75], axis=0).T
    return wall, processor, np.median(suite[:, 0]), np.median(plain[:, 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 128, 256])
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=60, help="at 64 px; fewer for larger pictures")
    options = parser.parse_args()
    quiet()
    register_resolvers()
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, batch {options.batch_size}"
    )
    print("| method | pixels | pairs | suite / plain, wall | processor | suite it/s | plain it/s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for method in options.methods:
        for size in options.sizes:
            iterations = max(6, options.iterations * 64 // size)
            *ratios, suite, plain = compare(method, size, options.batch_size, iterations)
            cells = [f"{middle:.3f} ({low:.3f} to {high:.3f})" for low, middle, high in ratios]
            row = [method, size, iterations - 2, *cells, f"{1 / suite:.2f}", f"{1 / plain:.2f}"]
            print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()
