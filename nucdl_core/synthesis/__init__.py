"""Images made from annotated ones, with nuclei that are known; arrays in, arrays out."""
