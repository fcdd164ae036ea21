"""View: augmentation on the host, mapped over a pipeline."""

import platform

import keras
import tensorflow as tf

from keras_ssl import inputs
from keras_ssl.data.host import on_host


def views(dataset, augment, parallel_calls=tf.data.AUTOTUNE, jit_compile="auto"):
    """Augment every batch on the host, while the accelerator trains on the one before.

    The same layer, given to the model instead, makes the same views on the accelerator: all draws come from the
    samples' seeds. There a batch is computed whole. Here the draws are made for the batch, and then one image after
    the other runs through a compiled program: it stays in the processor's cache, and what its draws do not ask for is
    not computed. Where Keras computes with JAX or PyTorch, they make the same views on the CPU, a batch at a time.

    Args:
        dataset: batched dataset of dicts with the column of a kind of data (`"image"`, `"series"`, ...) and `"seed"`,
            as this package makes them.
        augment: layer that is called on the dict and returns a tuple of views (or one view).
        parallel_calls: batches augmented at once. The result does not depend on it.
        jit_compile: whether XLA compiles the augmentation; for some seconds, once for each shape of a batch. "auto":
            where the layers allow it (those of `keras_ssl.augment` that take each sample by itself), the samples are
            single tensors without masks, the batches have static shapes but for a smaller last one, and the system is
            not macOS. Compiled or not, views of images agree within a tenth of a level of 255.

    Returns:
        `tf.data.Dataset` of dicts: `"views"`, a tuple, in place of the samples and `"seed"`; other columns stay.

    Raises:
        ValueError: if `jit_compile` is true for an augmentation that cannot be compiled.

    Example:
        ```python
        images = keras_ssl.data.arrays(np.zeros((8, 32, 32, 3), "uint8"), 4)
        pairs = keras_ssl.data.views(images, keras_ssl.augment.simclr_cifar())
        ```
    """
    if not hasattr(dataset, "element_spec") or not callable(augment):
        raise TypeError(
            "views takes a dataset of batches, which keras_ssl.data.arrays and image_folder make, and then a layer. "
            f"Received: dataset={type(dataset).__name__}, augment={type(augment).__name__}"
        )
    kind = inputs.kind_of(dataset.element_spec) if isinstance(dataset.element_spec, dict) else None
    foreign = keras.backend.backend() != "tensorflow" and isinstance(augment, keras.layers.Layer)
    compiles = getattr(augment, "separable", False) and kind is not None and is_static(dataset.element_spec, kind)
    compiles = compiles and not foreign
    jit_compile = compile_where(jit_compile, compiles, augment)
    program = tf.function(lambda samples, seeds: one_by_one(augment, kind, samples, seeds), jit_compile=True)
    gone = ("seed",) if kind is None else ("seed", kind.column, *kind.also)
    gone += getattr(augment, "columns", ())

    if hasattr(augment, "own_seeds") and kind is not None and "seed" not in dataset.element_spec:
        # One batch after the other: two at the same time would read the same state.
        own = on_host(lambda samples: augment.own_seeds(keras.ops.shape(samples)[0]), compiled=False)
        made = dataset.map(lambda batch: {**batch, "seed": own(batch[kind.column])})
    else:
        made = dataset
    layer = on_host(augment, compiled=getattr(augment, "separable", False)) if foreign else augment

    def make(batch):
        if jit_compile:
            made = in_order(augment.each(), program(batch[kind.column], batch["seed"]))
        else:
            made = layer(batch)
            made = tuple(made) if isinstance(made, (list, tuple)) else (made,)
        return {"views": made, **{name: column for name, column in batch.items() if name not in gone}}

    return made.map(make, num_parallel_calls=parallel_calls).prefetch(tf.data.AUTOTUNE)


def is_static(spec, kind):
    """Whether the samples are single tensors, without masks, of one shape that is known beforehand."""
    alone = not any(name in spec for name in kind.also)
    return alone and isinstance(spec[kind.column], tf.TensorSpec) and spec[kind.column].shape[1:].is_fully_defined()


def one_by_one(augment, kind, samples, seeds):
    """The views of a batch, by a loop over the samples; those of the same layer in one tensor."""
    layers, draws = zip(*augment.shares(seeds, samples.shape[1 : 1 + kind.extents]), strict=True)
    made = []
    for layer, places in together(layers):
        numbers = tf.tile(tf.range(tf.shape(samples)[0]), [len(places)])
        drawn = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *[draws[place] for place in places])

        def transform(element, layer=layer):
            number, own = element
            sample = samples[number][None]
            sample = sample if kind.ints else tf.cast(sample, tf.float32)
            return layer.transform(sample, **tf.nest.map_structure(lambda one: one[None], own))[0]

        made.append(loop(transform, (numbers, drawn)))
    return made


def in_order(layers, made):
    """What was made together for each of the different `layers`, taken apart, as a tuple.

    Outside of the compiled program, where it costs nothing: TensorFlow gives out parts of the tensor, XLA copies.
    """
    apart = {}
    for (_, places), views in zip(together(layers), made, strict=True):
        apart |= dict(zip(places, tf.split(views, len(places)), strict=True))
    return tuple(apart[place] for place in sorted(apart))


def together(layers):
    """Each different layer of a list, with its places in it: what is drawn several times is compiled once."""
    different = {id(layer): layer for layer in layers}
    return [(layer, [place for place, other in enumerate(layers) if other is layer]) for layer in different.values()]


def loop(transform, elements):
    """`transform`, a function to one tensor, of every row of the tensors in `elements`."""
    transform = tf.function(transform)
    row = tf.nest.map_structure(lambda one: tf.TensorSpec(one.shape[1:], one.dtype), elements)
    result = transform.get_concrete_function(row)
    result = tf.TensorSpec(result.output_shapes, result.output_dtypes)
    return tf.map_fn(transform, elements, fn_output_signature=result)


def compile_where(jit_compile, compiles, augment):
    """Whether to compile: the argument `jit_compile` of a pipeline, and an error where that is impossible."""
    if jit_compile is True and not compiles:
        raise ValueError(
            "jit_compile=True needs an augmentation of keras_ssl.augment layers that take each sample by itself, and "
            f"samples of one static size, without masks. Received: augment={augment}"
        )
    return compiles and platform.system() != "Darwin" if jit_compile == "auto" else jit_compile
