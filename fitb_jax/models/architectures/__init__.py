"""Networks that pretrained weights are for, and what they are made of."""
