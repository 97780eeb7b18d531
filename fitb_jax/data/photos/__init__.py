"""Photographs with their ground truth, as a stream."""
