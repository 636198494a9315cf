"""Paint photos with a checkpoint: python src/stylize.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="stylize", task="toonlab.app.stylize")
