"""Complete cartoons of damaged photos: python src/inpaint.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="inpaint", task="toonlab.app.inpaint")
