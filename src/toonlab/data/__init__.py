"""From files to endless, replayable batches of images in [-1, 1]."""
