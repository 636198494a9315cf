"""Score a checkpoint: python src/eval.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="eval", task="toonlab.app.evaluate")
