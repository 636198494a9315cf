"""What a sweep sees of src/train.py, in milliseconds: a run that counts, saves, resumes, stops and fails.

It scores itself: val/kid falls with the iterations towards (lr - 3)^2.

Its weights are a hash that each iteration hashes on, so a run that was resumed wrongly ends with another one.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

words = dict(word.partition("=")[::2] for word in sys.argv[1:])
folder = Path((words.get("hydra.run.dir") or words["resume"]).strip("'"))
config, last = folder / "config.yaml", folder / "checkpoints" / "last.ckpt"
if "resume" in words:
    words = json.loads(config.read_text())
    iteration, weights = json.loads(last.read_text())
elif config.exists():
    sys.exit("error: holds a run already")
else:
    config.write_text(json.dumps(words))
    last.parent.mkdir()
    iteration, weights = 0, words["seed"]
stopped: list[int] = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda got, _: stopped.append(got))


def note(what: str) -> None:
    line = {"what": what, "pid": os.getpid(), "device": os.environ.get("TOONLAB_DEVICE"), "time": time.time()}
    line |= {"cuda": os.environ.get("CUDA_VISIBLE_DEVICES"), "signals": stopped}
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(line | {"iteration": iteration}) + "\n")


def save() -> None:
    part = last.with_suffix(".part")
    part.write_text(json.dumps([iteration, weights]))
    part.replace(last)


def validate() -> None:
    score = (float(words["lr"]) - 3) ** 2 + 1 / iteration
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"iteration": iteration, "loss": 1.0}) + "\n")
        file.write(json.dumps({"iteration": iteration, "val/kid": score, "val/edge_f1": 1 - score}) + "\n")


metrics = folder / "metrics.jsonl"
if metrics.exists():  # what came after the last save is about to come again
    lines = [line for line in metrics.read_text().splitlines() if json.loads(line)["iteration"] <= iteration]
    metrics.write_text("".join(f"{line}\n" for line in lines))

note("begin")
time.sleep(float(words.get("prepares", 0)))
while iteration < int(words["iterations"]) and not stopped:
    time.sleep(float(words.get("pause", 0.02)))
    iteration += 1
    weights = hashlib.sha256(weights.encode()).hexdigest()
    if iteration % 5 == 0:
        if "lr" in words:
            validate()
        save()
    if iteration == int(words.get("fail_at", -1)) and not (folder / "failed_once").exists():
        (folder / "failed_once").touch()
        sys.stdout.write("something\nerror: method.lr: too bold\n")
        sys.exit(2)
time.sleep(float(words.get("saves", 0)))
save()
note("end")
status = "interrupted" if stopped and iteration < int(words["iterations"]) else "finished"
part = folder / ".result.part"
part.write_text(
    json.dumps({"status": status, "weights": weights, "best": {"iteration": iteration, "val/kid": 0}})
)
part.replace(folder / "result.json")
sys.exit(128 + stopped[0] if status == "interrupted" else 0)
