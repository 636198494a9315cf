"""Compare networks under one protocol: python src/leaderboard.py --help."""

from toonlab.app.cli import main

if __name__ == "__main__":
    main(config="leaderboard", task="toonlab.app.leaderboard")
