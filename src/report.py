"""Compare runs in one table: python src/report.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="report", task="toonlab.app.report")
