"""Draw a folder of photos for training: python src/prepare.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="prepare", task="toonlab.app.prepare")
