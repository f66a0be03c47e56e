"""What every screen needs, whoever does the work: plan, lists, chunks, checks, publishing, merging, report."""
