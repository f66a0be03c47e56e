"""Training of the networks: annotated images in, checkpoint out."""
