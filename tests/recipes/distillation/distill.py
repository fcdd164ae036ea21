"""Distill: numbers of LightlyTrain."""

DEFAULTS = {"version": 3, "temperature": 0.07, "local_weight": 1.0, "queue_size": 8192}
