"""Turn published weights into a toonlab checkpoint: python src/import_weights.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="import_weights", task="toonlab.app.import_weights")
