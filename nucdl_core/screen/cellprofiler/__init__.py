"""Screens that run a CellProfiler pipeline in chunks, with Snakemake on one computer or on a cluster."""
