"""Which part is enough?"""
