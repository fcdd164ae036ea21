"""Pretrained: the field's public self-supervised checkpoints as Keras encoders.

`list()` tells what there is, `load` makes an encoder of a name or of a file of your own, `save` writes one with a card,
`card` reads that. No PyTorch is needed, and nothing in a file is executed. Small encoders of our own come with the
package and need no download; `benchmarks/own_encoders.py` makes them.

Not here: SimCLR, SimCLR v2 and BYOL, whose weights are public as checkpoints of TensorFlow or as pickles with more in
them than weights. A state_dict of such a ResNet in torchvision's or VISSL's keys loads from its path.
"""

from keras_ssl.pretrained.entries import Entry
from keras_ssl.pretrained.entries import entries as list
from keras_ssl.pretrained.loading import card, load, save

__all__ = ["Entry", "card", "list", "load", "save"]
