"""From a checkpoint to painted files."""
