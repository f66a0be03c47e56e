"""Which model, treatment of the images and settings suit some images best: every combination tried, without truth."""
