"""From annotated images to a finished bundle: crops, lessons, the loop, calibration, tuning."""
