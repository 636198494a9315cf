"""Re-run the recipe of a trained network and compare the scores: python src/reproduce.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="reproduce", task="toonlab.app.reproduce")
