"""Studies: a grid of trainings, each scored on the same test images, and what they say."""
