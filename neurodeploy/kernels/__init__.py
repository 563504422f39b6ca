"""Inner loops over arrays: a plain oracle and its fast twin."""
