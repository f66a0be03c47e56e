"""NucDL's engine: deep segmentation of cell nuclei, without CellProfiler.

Importing the package is cheap: torch is imported by the functions that need it.
"""

__version__ = "0.1.0"
