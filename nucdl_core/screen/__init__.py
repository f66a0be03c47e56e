"""Whole screens, planned, checked, resumed and merged; by CellProfiler or by NucDL alone."""
