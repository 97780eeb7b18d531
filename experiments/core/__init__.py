"""What an experiment is, how it is found, run, continued, saved and reported."""
