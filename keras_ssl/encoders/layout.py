"""Layout: which part of a transformer's weights each device of a mesh holds, for `keras.distribution.ModelParallel`."""

import keras

# The kernel of a layer by its outputs, then that of the next by its inputs: between the two nothing is exchanged.
BY_OUTPUTS, BY_INPUTS = "(query|key|value|hidden)", "(projection|output)"


def layout(mesh, axis="model"):
    """The parts in which a `vit` (or a `text_transformer`, a `token_decoder`) is spread over the devices of a mesh.

    Attention is split by its heads and the two dense layers behind it by their hidden units, so that a block exchanges
    its sums twice. All other weights are on every device, and so is what has the same paths in a teacher's copy.
    JAX alone trains this way.

    Args:
        mesh: `keras.distribution.DeviceMesh`, with an axis for the batch and one for the parts.
        axis: str, name of the axis whose devices hold one part each. Its size must divide the heads.

    Returns:
        `keras.distribution.LayoutMap`.

    Raises:
        ValueError: the mesh has no such axis.

    Example:
    ```python
    devices = keras.distribution.list_devices()  # four of them
    mesh = keras.distribution.DeviceMesh((2, 2), ("batch", "model"), devices)
    layout = keras_ssl.encoders.layout(mesh)
    keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))
    model = keras_ssl.DINO(keras_ssl.encoders.vit_small((None, None, 3), grid=14), augment=...)  # made after it
    ```
    """
    if axis not in mesh.axis_names:
        raise ValueError(f"axis must be one of the mesh's, {list(mesh.axis_names)}. Received: axis={axis!r}")
    found = keras.distribution.LayoutMap(mesh)
    found[rf"block\d+_{BY_OUTPUTS}/kernel"] = (None, axis)
    found[rf"block\d+_{BY_OUTPUTS}/bias"] = (axis,)
    found[rf"block\d+_{BY_INPUTS}/kernel"] = (axis, None)
    return found
