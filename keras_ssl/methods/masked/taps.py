"""Taps: the tokens that leave blocks in the middle of a vision transformer."""

import keras


def check_taps(taps, blocks):
    """The taps as a tuple, if they are numbers of blocks, counted from 1, that rise up to the last."""
    depth = depth_of(blocks)
    ints = isinstance(taps, (tuple, list)) and taps and all(isinstance(tap, int) and tap > 0 for tap in taps)
    if not ints or list(taps) != sorted(set(taps)) or taps[-1] != depth:
        raise ValueError(
            f"taps must be numbers of the encoder's blocks, from 1, rising, the last of them {depth}, so that all "
            f"blocks learn. Received: taps={taps!r}"
        )
    return tuple(taps)


def depth_of(blocks):
    """The number of blocks of the stage `blocks` of a `vit`."""
    return sum(layer.name.endswith("_attention") for layer in blocks.layers)


def tapped(blocks, taps, normalized=True):
    """A model from the tokens that enter the blocks to a list of those that leave the blocks of these numbers.

    What leaves the last block is `normalized`, as in the encoder, or as it is, as the others are. Registers, which are
    the last tokens, are still there where tokens are as they are.
    """
    last = blocks.output if normalized else blocks.get_layer("norm").input
    after = {depth_of(blocks): last}
    found = [after[tap] if tap in after else blocks.get_layer(f"block{tap + 1}_norm1").input for tap in taps]
    return keras.Model(blocks.input, found, name="taps")
