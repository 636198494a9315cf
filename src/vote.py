"""Let people pick the best of several models' pictures, blindly: python src/vote.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="vote", task="toonlab.app.vote")
