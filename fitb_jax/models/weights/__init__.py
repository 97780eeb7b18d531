"""From files of weights to tensors, and from tensors to the parameters of a network."""
