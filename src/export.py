"""Write what a checkpoint learnt for use elsewhere: python src/export.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="export", task="toonlab.app.export")
