"""Fill in the blanks."""
