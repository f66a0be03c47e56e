"""A grid of trainings, and what they say: statistics, figures, page."""
