"""The steps of finding nuclei, one a file, arrays in and arrays out: normalize, tile, find, correct, stitch, filter."""
