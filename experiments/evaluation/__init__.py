"""Should it be believed?"""
