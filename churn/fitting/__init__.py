"""Which model to fit, and fitting it: selection, calibration, threshold, contributions."""
