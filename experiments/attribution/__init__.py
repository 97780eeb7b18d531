"""The methods that masks and fills are compared with."""
