"""docs/representations.jpg: what each representation makes of eight photographs inside packages.

python benchmarks/contact_sheet.py [--side 200] [--output docs/representations.jpg]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from toonlab import images as im
from toonlab.app.cli import CONF, register_resolvers
from toonlab.data.demo import _PICTURES, _find

PHOTOS = [name for domain in _PICTURES.values() for name in domain] + ["skimage/data/camera.png"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--side", type=int, default=200, help="shorter side in pixels, as shown")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs/representations.jpg")
    arguments = parser.parse_args()
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        flow = {show: instantiate(compose("prepare_draw", [f"method.show={show}"]).method) for show in SHOWS}
        train = compose("train", ["structure=felz_ss_adaptive"])
    others = {name: instantiate(train.method[name]) for name in ("surface", "structure", "texture")}
    rows = []
    for name in PHOTOS:
        picture = im.decode(_find(name)).rgb
        picture.thumbnail((512, 512))
        photo = im.to_tensor(picture)[None]
        views = {"photo": photo}
        views |= {SHOWS[show]: drawing(photo) for show, drawing in flow.items()}
        views["surface"] = others["surface"](photo)
        views["structure"] = others["structure"](photo)
        views["texture"] = others["texture"](photo, torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
        cells = [im.to_picture(view[0]) for view in views.values()]
        height = arguments.side * 3 // 4
        rows.append([cell.resize((round(cell.width * height / cell.height), height)) for cell in cells])
    titles = ["photo", *SHOWS.values(), "surface", "structure", "texture"]
    im.save(im.sheet(rows, titles), arguments.output, quality=88)
    print(arguments.output)


SHOWS = {
    "field": "flow field",
    "lines": "lines",
    "bilateral": "bilateral",
    "tones": "quantised",
    "cartoon": "combined",
}

if __name__ == "__main__":
    main()
