"""Networks, found by the name that a bundle gives."""
