"""Serve a page that paints photos and films: python src/serve.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="serve", task="toonlab.app.serve")
