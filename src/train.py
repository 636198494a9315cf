"""Train a method: python src/train.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="train", task="toonlab.app.train")
