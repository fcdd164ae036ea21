"""Maps: what an encoder knows before it pools, a small pyramid on it, and its training, for the dense tasks.

The pyramid is the light one of Panoptic Feature Pyramid Networks (Kirillov et al., 2019), arXiv 1901.02446: the maps of
all levels are projected to one width, resized to one size, and added.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_ssl import encoders, optimizers
from keras_ssl.checks import check_flags, check_ints, check_numbers
from keras_ssl.eval.extraction import as_images, chunks
from keras_ssl.eval.fine_tuning import adamw, check_size, copied, seed_states

STRIDE = 4  # pixels of a place of the heads, as in both papers


def pyramid(encoder, images, levels, width, frozen, seed):
    """A copy of the encoder with a pyramid on it: a functional model from images to `(batch, rows, columns, width)`.

    Args:
        encoder: `keras.Model`, see `maps`.
        images: array of some images.
        levels: positive int, see `maps`.
        width: positive int, channels.
        frozen: whether the copy stays as it is and runs in inference mode.
        seed: int, of the new weights.

    Returns:
        pair of the model and of `Draws` for the weights of what comes on it.
    """
    if not isinstance(encoder, keras.Model) or not getattr(encoder, "inputs", None):
        raise TypeError(f"encoder must be a functional or a built sequential keras.Model. Received: {encoder!r}")
    check_ints(levels=levels, width=width)
    check_ints(least=0, seed=seed)
    check_flags(frozen=frozen)
    check_size(encoder, images, "train")
    copy = copied(encoder, None, images[:1].astype("float32"))
    body = maps(copy, images.shape[1:], levels)
    body.trainable = not frozen
    inputs = keras.Input(images.shape[1:], name="images")
    found = body(inputs, training=False) if frozen else body(inputs)
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    finest = max((x.shape[1:3] for x in found), key=math.prod)
    size = tuple(max(side, math.ceil(whole / STRIDE)) for side, whole in zip(finest, images.shape[1:3]))
    draw = Draws(seed)
    parts = [
        resized(normal(conv(x, width, 1, draw, f"level{i + 1}"), f"level{i + 1}_norm"), size)
        for i, x in enumerate(found)
    ]
    x = layers.ReLU(name="merged")(parts[0] if len(parts) == 1 else ops.sum(ops.stack(parts), axis=0))
    for i in range(2):
        x = layers.ReLU(name=f"head{i + 1}_relu")(normal(conv(x, width, 3, draw, f"head{i + 1}"), f"head{i + 1}_norm"))
    return keras.Model(inputs, x, name="pyramid"), draw


class Draws:
    """The initializers of new layers, one after the other from one seed."""

    def __init__(self, seed):
        self.generator = np.random.default_rng([seed, 0])

    def __call__(self):
        return keras.initializers.HeNormal(seed=int(self.generator.integers(2**31)))


def conv(x, width, size, draw, name):
    return layers.Conv2D(
        width, size, padding="same", kernel_initializer=draw(), data_format="channels_last", name=name
    )(x)


def normal(x, name):
    return layers.GroupNormalization(math.gcd(x.shape[-1], 8), name=name)(x)


def resized(x, size):
    if tuple(x.shape[1:3]) == tuple(size):
        return x
    return ops.image.resize(x, size, interpolation="bilinear", data_format="channels_last")


def maps(encoder, shape, levels):
    """A model from images to the last maps of an encoder, the finest first; it shares the weights.

    Where the encoder returns a map, or a list of maps (`keras_ssl.pretrained.load(..., features=[...])`), it is that.
    Else it is what the encoder pools: the tokens of a `vit` or `conv_vit` as a map; of a convolutional network the
    last map of each resolution that all behind it is made of, as the ends of the stages of a ResNet, with strides from
    4 on.

    Args:
        encoder: functional or built sequential `keras.Model`.
        shape: ints `(height, width, channels)` of the images.
        levels: positive int, most resolutions, the coarsest ones; 1 is the last map alone.
    """
    outputs = keras.tree.flatten(encoder.outputs)
    if all(len(x.shape) == 4 for x in outputs) and len(outputs) > 1:
        return keras.Model(encoder.inputs[0], outputs, name=encoder.name)
    order = tensors(outputs)
    last = next((i for i in reversed(range(len(order))) if len(order[i].shape) in (3, 4)), 0)
    inner = order[last]._keras_history.operation if sources(order[last]) else outer(order)
    if isinstance(inner, keras.Model) and inner.inputs and is_first(inner, order):
        return maps(inner, shape, levels)  # a backbone that is a layer, as `encoders.pool` makes it
    if len(order[last].shape) == 3:
        return of_tokens(encoder, order[last], shape)
    ends = cuts(order[:last + 1])
    sizes = keras.Model(encoder.inputs[0], [order[i] for i in ends])(keras.Input(shape)) if ends else []
    strides = {}
    for i, x in zip(ends, keras.tree.flatten(sizes), strict=True):
        stride = round(math.log2(math.prod(shape[:2]) / math.prod(x.shape[1:3])) / 2)
        if stride > 0:
            strides[stride] = i  # the last one of a resolution stays
    if last not in strides.values():
        raise ValueError(
            "The encoder has no map that is smaller than its images, nor tokens of a vit: give one that was made from "
            "a convolutional network or a vit, or a functional model whose output is a map (batch, height, width, "
            f"channels) or a list of them. Received: {encoder.name}, with the output {outputs[0].shape}"
        )
    kept = [i for stride, i in sorted(strides.items()) if i == last or (2**stride >= STRIDE and i < last)]
    return keras.Model(encoder.inputs[0], [order[i] for i in kept[-levels:]], name=f"{encoder.name}_maps")


def of_tokens(encoder, tokens, shape):
    rows, columns = encoders.patch_grid(encoder)[0]
    model = keras.Model(encoder.inputs[0], tokens)
    count = model(np.zeros((1, *shape), "float32"), training=False).shape[1]
    x = tokens[:, count - rows * columns:]  # the class token stands before the patches
    x = layers.Reshape((rows, columns, tokens.shape[-1]), name="tokens_as_map")(x)
    return keras.Model(encoder.inputs[0], x, name=f"{encoder.name}_maps")


def tensors(outputs):
    """All tensors that the outputs are made of, each behind those that it is made of."""
    order, seen, stack = [], set(), [(x, False) for x in outputs]
    while stack:
        x, made = stack.pop()
        if made:
            order.append(x)
        elif id(x) not in seen:
            seen.add(id(x))
            stack.append((x, True))
            stack.extend((source, False) for source in sources(x))
    return order


def sources(x):
    history = x._keras_history
    return history.operation._inbound_nodes[history.node_index].input_tensors


def cuts(order):
    """The places of the maps through which all goes: what stands behind is made of nothing that stands before."""
    place = {id(x): i for i, x in enumerate(order)}
    found, least = [], len(order)
    for i in reversed(range(len(order))):
        x = order[i]
        padded = isinstance(x._keras_history.operation, layers.ZeroPadding2D)
        if least >= i and len(x.shape) == 4 and sources(x) and not padded:
            found.append(i)
        least = min([least, *(place[id(source)] for source in sources(x))])
    return found[::-1]


def outer(order):
    """What is called on the images."""
    first = [x for x in order if any(not sources(source) for source in sources(x))]
    return first[0]._keras_history.operation if len(first) == 1 else None


def is_first(model, order):
    made = [x for x in order if x._keras_history.operation is model]
    return all(not sources(source) for x in made for source in sources(x))


class Batches(keras.utils.PyDataset):
    """The batches of all epochs, each a pure function of the seed and its number.

    Args:
        images: array.
        target: function from the number of an image, and whether it is mirrored, to what is to be learned.
    """

    def __init__(self, images, target, size, epochs, flip, seed):
        super().__init__()
        self.images, self.target, self.size, self.flip, self.seed = images, target, size, flip, seed
        self.steps, self.epochs = len(images) // size, epochs

    def __len__(self):
        return self.steps * self.epochs

    def __getitem__(self, number):
        epoch, step = divmod(number, self.steps)
        generator = np.random.default_rng([self.seed, 1, epoch])
        part = slice(step * self.size, (step + 1) * self.size)
        chosen = generator.permutation(len(self.images))[part]
        flipped = (generator.random(len(self.images)) < self.flip)[part]
        images = np.stack([self.images[i][:, ::-1] if turn else self.images[i] for i, turn in zip(chosen, flipped)])
        return images.astype("float32"), np.stack([self.target(i, turn) for i, turn in zip(chosen, flipped)])


def train(model, loss, images, target, epochs, batch_size, learning_rate, weight_decay, layer_decay, flip, seed,
          verbose):
    """Fits a model with AdamW and half a cosine, after a twentieth of warm-up."""
    check_ints(epochs=epochs, batch_size=batch_size)
    check_numbers(above=0, learning_rate=learning_rate)
    check_numbers(least=0, weight_decay=weight_decay)
    check_numbers(least=0, most=1, flip=flip)
    check_numbers(above=0, most=1, layer_decay=layer_decay)
    seed_states(model, seed)
    batches = Batches(images, target, min(batch_size, len(images)), epochs, flip, seed)
    schedule = optimizers.warmup_cosine(learning_rate, len(batches), warmup=len(batches) // 20)
    model.compile(adamw(model, schedule, weight_decay, layer_decay, clipnorm=1.0), loss)
    model.fit(batches, shuffle=False, verbose=verbose)


def outputs(model, images, batch_size):
    """Yield the outputs for chunks of the images, as float32 arrays, with the place of the first one."""
    for start in range(0, len(images), 8 * batch_size):
        part = model.predict(images[start:start + 8 * batch_size].astype("float32"), batch_size=batch_size, verbose=0)
        if not np.all(np.isfinite(part)):
            raise ValueError(f"The training has diverged: try a smaller learning_rate. Received: model={model.name}")
        yield start, np.asarray(part, "float32")


def names_of(classes):
    """The names of the classes: those given, or their numbers."""
    if isinstance(classes, (list, tuple)) and classes and all(isinstance(name, str) for name in classes):
        if len(set(classes)) == len(classes):
            return list(classes)
    elif not isinstance(classes, (list, tuple)):
        check_ints(classes=classes)
        return [str(i) for i in range(classes)]
    raise ValueError(f"classes must be a positive int or a list of different names. Received: classes={classes!r}")


def with_masks(data, batch_size, name):
    """All images and masks of a pair of arrays or of a `tf.data.Dataset` of `(image, mask)`."""
    parts = list(chunks(data, batch_size))
    if not parts:
        raise ValueError("The data has no images.")
    if parts[0][1] is None:
        raise ValueError(f"The {name} set has no masks: give a pair of arrays (images, masks).")
    return as_images(np.concatenate([part[0] for part in parts])), np.concatenate([part[1] for part in parts])
