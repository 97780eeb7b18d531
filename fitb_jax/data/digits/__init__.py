"""Labelled images in memory: digits, and any other set of small images."""
