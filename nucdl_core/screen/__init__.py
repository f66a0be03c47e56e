"""Screens: hundreds of thousands of image sets through CellProfiler, in chunks that are planned, checked and merged."""
