"""Finished models: the bundle on the disk, the registry of families, and the predictors that run their networks."""
