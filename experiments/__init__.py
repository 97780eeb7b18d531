"""One module per figure or table; `python -m experiments` lists them."""
