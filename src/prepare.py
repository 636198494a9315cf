"""Prepare images for training: python src/prepare.py --help lists the tasks."""

from toonlab.app.cli import main_of_tasks

if __name__ == "__main__":
    main_of_tasks(config="prepare", package="toonlab.app.prepare")
