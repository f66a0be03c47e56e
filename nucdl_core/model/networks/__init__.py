"""The networks themselves, each a file of layers, and the U-Net in 8-bit integers."""
