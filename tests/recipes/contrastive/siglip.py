"""SigLIP: numbers of the paper."""

DEFAULTS = {"dim": 512, "temperature": 0.1, "bias": -10.0, "max_scale": None}
# Its decay of 1e-4 is not multiplied by the rate of 1e-3, and the gradients are clipped to a norm of 1.
OPTIMIZER = {"weight_decay": 1e-4 / 1e-3, "beta_2": 0.95, "global_clipnorm": 1.0}
