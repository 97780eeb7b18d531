"""Networks, photographs, methods and masks that experiments of several chapters share."""
