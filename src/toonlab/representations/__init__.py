"""Cartoon representations: functions of images in [-1, 1], same shape in and out unless stated."""
