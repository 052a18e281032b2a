"""How good a model is: evaluation, scores, reports, calibration."""
