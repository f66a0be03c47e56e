"""The command ``nucdl``, one file for each group of commands."""
