"""keras_ssl: self-supervised learning for Keras 3.

Every method is a `keras.Model`: `keras_ssl.SimCLR`, `keras_ssl.MoCoV1`, `keras_ssl.MoCoV2`, `keras_ssl.BYOL`. The rest
stands in the parts `augment`, `data`, `encoders`, `eval`, `heads`, `losses`, `memory`, `optimizers`, `teacher`,
`visualize` and `distribute`. Nothing is imported before it is used.
"""

import importlib
import sys

__version__ = "0.1.0"

METHODS = {
    "SimCLR": "methods.contrastive.simclr",
    "MoCoV1": "methods.contrastive.moco_v1",
    "MoCoV2": "methods.contrastive.moco_v2",
    "BYOL": "methods.distillation.byol",
}
NAMES = METHODS | {"Method": "method", "export": "saving", "load": "saving"}
PARTS = (
    "augment",
    "data",
    "distribute",
    "encoders",
    "eval",
    "heads",
    "losses",
    "memory",
    "optimizers",
    "teacher",
    "visualize",
)

__all__ = [*NAMES, *PARTS]


def register():
    """Makes every class of the package known to Keras, so that it can load what was saved with them."""
    for module in (*METHODS.values(), "augment", "encoders", "memory", "optimizers"):
        importlib.import_module(f"keras_ssl.{module}")


def __getattr__(name):
    if name in NAMES:
        return getattr(importlib.import_module(f"keras_ssl.{NAMES[name]}"), name)
    if name in PARTS:
        return importlib.import_module(f"keras_ssl.{name}")
    raise AttributeError(f"module 'keras_ssl' has no attribute '{name}'")


def __dir__():
    return sorted([*globals(), *__all__])


if "keras" in sys.modules:  # the slow part is done already, and keras.saving.load_model works as everywhere
    register()
