"""One adapted CartoonGAN against a CartoonGAN for each style: scores and parameters, style by style.

    python benchmarks/adapter_styles.py DATA --iterations 6000 --size 256 --batch 8 --overrides trainer=gpu

DATA holds photos/train, photos/val, and STYLE/train, STYLE/val for each style. What is compared, all on the
same held-out photos and cartoons, painted by the EMA weights of the last iteration:

- `single`: a CartoonGAN for each style, `--iterations` updates of the generator each;
- each kind of adapters: one network, as many updates as all single ones together, so that both the sum and
  what each style sees are equal;
- `parallel, fewer`: one network with as many updates as one single network has.

With --start CKPT all of them start from trained weights (src/import_weights.py makes a CKPT of published
ones) and none has a warm-up. Then there are two more rows:

- `start`: those weights as they are;
- `… added`: the trunk stands still, and each style is added to it alone, with as many updates as a single
  network has.

It drives src/train.py and src/eval.py. Interrupted, a training goes on in its middle; what is finished is
never repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from adapter_models import Model, listed, models
from adapter_sheet import sheet
from adapter_table import table
from resumable import settle

ROOT = Path(__file__).resolve().parents[1]

STYLES = ("anime_peppercarrot", "anime_wesnoth", "anime_bbb")
KINDS = ("parallel", "low_rank", "norm")


def train(model: Model, options: argparse.Namespace) -> None:
    """Train `model`, from where it stands."""
    if model.checkpoint:
        return
    result = model.folder / "result.json"
    if result.exists() and json.loads(result.read_text())["status"] == "finished":
        return
    if (model.folder / "checkpoints/last.ckpt").exists():
        call("train.py", [f"resume={model.folder}"])
        return
    _put_aside(model.folder)  # interrupted before its first checkpoint
    common = [
        f"photos={options.data}/photos/train", f"val_photos={options.data}/photos/val",
        f"seed={options.seed}", f"iterations={model.iterations}",
        f"data.size={options.size}", f"data.batch_size={options.batch}",
        f"eval_every={model.iterations}", "~callbacks.evaluate",  # src/eval.py does that, once
        f"hydra.run.dir={model.folder}",
    ]  # fmt: skip
    call("train.py", [*model.settings, *common, *options.overrides])


def evaluate(model: Model, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Score `model` on all of the held-out folders; return what src/eval.py reports of each style."""
    folder, val = model.folder / "scores", {style: options.data / style / "val" for style in model.styles}
    style = [f"style={model.styles[0]}"] if model.row.endswith(", added") else []
    if len(val) == 1:
        reports = dict.fromkeys(val, folder / "report.json")
        data = ["data=unpaired", *(f"cartoons={path}" for path in val.values())]
    else:
        reports = {style: folder / style / "report.json" for style in val}
        data = ["data=multidomain", f"domains={listed(val)}"]
    if not all(path.exists() for path in reports.values()):
        _put_aside(folder)
        photos = [f"photos={options.data}/photos/val", f"data.size={options.eval_size}"]
        ckpt = model.checkpoint or model.folder
        call("eval.py", [f"ckpt={ckpt}", f"output={folder}", *data, *photos, *style])
    return {style: json.loads(path.read_text()) for style, path in reports.items()}


def _put_aside(folder: Path) -> None:
    """Rename what an interruption left behind, if there is anything."""
    if folder.exists():
        number = sum(1 for _ in folder.parent.glob(f"{folder.name}_broken_off_*"))
        folder.rename(folder.with_name(f"{folder.name}_broken_off_{number}"))


def call(script: str, arguments: Sequence[str]) -> None:
    """Run one of toonlab's commands; leave with its words if it fails."""
    done = subprocess.run([sys.executable, str(ROOT / "src" / script), *arguments], stdout=sys.stderr)
    if done.returncode:
        sys.exit(
            f"{script} {' '.join(arguments)}: left with {done.returncode}; the same command goes on from here"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda text: Path(text).expanduser().absolute(), help="see above")
    parser.add_argument("--styles", nargs="+", default=list(STYLES), help="folders of DATA")
    parser.add_argument(
        "--kinds", nargs="+", choices=("parallel", "series", "low_rank", "norm"), default=list(KINDS)
    )
    parser.add_argument(
        "--iterations", type=int, default=6000, help="updates of each single network's generator"
    )
    parser.add_argument("--size", type=int, default=256, help="of a crop to train on, pixels")
    parser.add_argument("--eval-size", type=int, help="of a picture to score; by default that of a crop")
    parser.add_argument("--start", type=lambda text: Path(text).expanduser().absolute(), help="see above")
    parser.add_argument("--rows", nargs="+", help="train and score these alone: several GPUs share the work")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--width", type=int, default=64, help="of the generator; the discriminator's is half of it"
    )
    parser.add_argument("--blocks", type=int, default=8, help="residual blocks of the generator")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--overrides", nargs="*", default=[], help="for every src/train.py, trainer=gpu for instance"
    )
    parser.add_argument("--fewer", action=argparse.BooleanOptionalAction, default=True, help="see above")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs/benchmarks/adapter_styles")
    parser.add_argument("--sheet", type=Path, help="also paint photographs out of packages into this picture")
    options = parser.parse_args()
    options.output, options.eval_size = (
        options.output.expanduser().absolute(),
        options.eval_size or options.size,
    )
    settle(
        options.output,
        {k: v for k, v in vars(options).items() if k not in ("output", "sheet", "kinds", "fewer", "rows")},
    )
    found, scores = models(options), {}
    for model in tqdm(found, unit="network"):
        train(model, options)
        scores[model.folder] = evaluate(model, options)
    text = table(found, scores, options.styles)
    (options.output / "table.md").write_text(text + "\n")
    print(text)
    if options.sheet:
        sheet(found, options.styles, options.sheet)


if __name__ == "__main__":
    main()
