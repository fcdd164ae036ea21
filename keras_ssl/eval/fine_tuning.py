"""Fine-tuning: Masked Autoencoders Are Scalable Vision Learners (He et al., 2021), https://arxiv.org/abs/2111.06377.

The protocol of BEiT (Bao et al., 2021), https://arxiv.org/abs/2106.08254, and of most papers on masked images since.
"""

import keras
import numpy as np

from keras_ssl import augment as augmentations
from keras_ssl import encoders, optimizers
from keras_ssl.checks import check_ints, check_numbers
from keras_ssl.eval.extraction import arrays, as_taken, check_features, count, cut, each, features
from keras_ssl.eval.nearest import check_classes, numbered
from keras_ssl.eval.score import score
from keras_ssl.inputs import IMAGE, for_encoder, kind_of_encoder


def fine_tune(
    encoder, train, test, epochs=100, batch_size=256, learning_rate=1e-3, weight_decay=0.05, layer_decay=0.75,
    warmup=None, drop_path=None, label_smoothing=0.1, augment=None, seed=0, verbose=0, return_model=False,
):
    """Accuracy of a copy of the encoder that is trained on, with a new linear layer, on labeled images.

    Or on samples of any other kind, see `features`, which have no augmentation of their own here.

    AdamW, with a rate that falls from layer to layer (`keras_ssl.optimizers.layer_decay`), warms up and then follows
    half a cosine to 0. All of the copy trains, also what was frozen; the given encoder stays as it is. The head starts
    near 0. Vectors, class token and tables of positions are not decayed. Of the papers' recipe, mixup and cutmix are
    left out, and their RandAugment is an `augment`. Both sets are read into memory. A fresh encoder instead of a
    trained one gives the number to compare with, better with `layer_decay=1`. Under `tf.distribute`, call it inside
    `strategy.scope()`.

    Args:
        encoder: `keras.Model` from images, or samples of another kind, to features `(batch, dim)`, which are all that
            the head sees: papers take the mean of the tokens (`pooling="mean"`).
        train: labeled images to fit: a pair of arrays `(images, labels)` or a `tf.data.Dataset`, see `features`.
        test: labeled images to score, of the encoder's size. They are not augmented.
        epochs: positive int, passes over the training images; 100 for a ViT-B in MAE and BEiT.
        batch_size: positive int, images per step; 1024 in MAE. A smaller training set is one batch.
        learning_rate: positive float, the rate at 256 images per step: the highest rate is
            `learning_rate * batch_size / 256`. 1e-3 in MAE, whose code has 5e-4 for a ViT-B.
        weight_decay: float >= 0; 0.05 in both papers.
        layer_decay: float in (0, 1]; 0.75 in MAE, 0.65 in BEiT-B and in MAE's code for a ViT-B; 1 is none.
        warmup: float >= 0 and less than `epochs`, epochs of linear warm-up: 5 in MAE, 20 in BEiT-B. None is a
            twentieth of the epochs.
        drop_path: float in [0, 1), stochastic depth of a `vit`, `swin` or `conv_vit`, see
            `keras_ssl.encoders.with_drop_path`; 0.1 in both papers. None leaves the encoder's own.
        label_smoothing: float in [0, 1); 0.1 in both papers.
        augment: layer from uint8 images to one view each of the encoder's size, such as
            `keras_ssl.augment.View([...])`; False for none. None is a crop and a flip: up to 64 pixels of a random
            place with a margin of an eighth of the side, above of random size. For other kinds None is none, and a
            layer of `keras_ssl.augment` takes their columns.
        seed: int, of the order, the views, dropout and the head: on one machine, same seed, same score. Layers of the
            augmentation that are not of this package have a seed of their own.
        verbose: 0, 1 or 2, as in `fit`.
        return_model: whether to return the trained model, too.

    Returns:
        `Score`, or with `return_model` a pair of it and the `keras.Model` from images to logits `(batch, classes)`,
        the classes of the training set in the ascending order of their labels.

    Raises:
        TypeError: the encoder is no `keras.Model`, or cannot be copied, or the augmentation is no layer.
        ValueError: no labels, training images of one class only, a bad number, images of another size than
            the encoder's, an encoder without a drop path, or the training has diverged.

    Example:
    ```python
    score = keras_ssl.eval.fine_tune(encoder, (images, labels), (test_images, test_labels), drop_path=0.1)
    ```
    """
    if not isinstance(encoder, keras.Model):
        raise TypeError(f"encoder must be a keras.Model from images to features. Received: {encoder!r}")
    check_ints(epochs=epochs, batch_size=batch_size)
    check_numbers(above=0, learning_rate=learning_rate)
    check_numbers(least=0, weight_decay=weight_decay)
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay must be in (0, 1]. Received: layer_decay={layer_decay!r}")
    warmup = epochs / 20 if warmup is None else warmup
    if not 0 <= warmup < epochs:
        raise ValueError(f"warmup must be in [0, epochs), in epochs. Received: warmup={warmup!r}, epochs={epochs}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1). Received: label_smoothing={label_smoothing!r}")
    samples, labels = arrays(train, encoder, "train")
    test = arrays(test, encoder, "test")
    names = np.unique(labels)
    check_classes(len(names))
    check_samples(encoder, test[0], "test")
    samples = as_columns(samples, encoder)
    augment = view(augment, encoder, samples)
    views = cut(samples, slice(2)) if augment is None else augmented(augment, cut(samples, slice(2)))
    views = views["image"] if isinstance(views, dict) and list(views) == ["image"] else views
    check_samples(encoder, views, "train")
    views = as_taken(each(np.asarray, for_encoder(views, encoder)), encoder)

    classifier = with_head(copied(encoder, drop_path, views), views, len(names), seed)
    batches = Batches(samples, numbered(labels, names), min(batch_size, len(labels)), epochs, seed)
    peak = optimizers.scale(learning_rate, batches.size)
    schedule = optimizers.warmup_cosine(peak, len(batches), min(round(warmup * batches.steps), len(batches) - 1))
    optimizer = adamw(classifier, schedule, weight_decay, layer_decay)
    model = Augmented(classifier, augment, encoder)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing))
    model.fit(batches, epochs=epochs, steps_per_epoch=batches.steps, shuffle=False, verbose=verbose)

    logits, labels = features(classifier, test, batch_size)
    labels = numbered(labels, names)
    if not np.all(np.isfinite(logits)):
        raise ValueError(
            "The fine-tuning has diverged: try a smaller learning_rate or a longer warmup. "
            f"Received: learning_rate={learning_rate}, warmup={warmup}"
        )
    found = score(logits, labels, name="fine-tuning")
    return (found, classifier) if return_model else found


def adamw(model, schedule, weight_decay, layer_decay, **options):
    """AdamW whose rates fall from layer to layer of the model, with a loss scale where it computes in float16."""
    made = optimizers.AdamW(
        schedule, weight_decay, rates=optimizers.layer_decay(model, layer_decay), exclude=["class_token/", "table/"],
        **options,
    )
    half = any(layer.compute_dtype == "float16" for layer in model._flatten_layers())
    return keras.optimizers.LossScaleOptimizer(made) if half else made


class Augmented(keras.Model):
    """The classifier behind its augmentation, which acts in training only."""

    def __init__(self, classifier, augment, encoder):
        super().__init__(dtype="float32")
        self.classifier, self.augment = classifier, augment
        self.given = lambda sample: for_encoder(sample, encoder)

    def call(self, inputs, training=False):
        sample = {name: x for name, x in inputs.items() if name != "seed"}
        sample = one(self.augment(inputs)) if training and self.augment is not None else sample
        return self.classifier(each(as_float, self.given(sample)), training=training)


def as_float(x):
    """Pixels as float32; other ints, of tokens and masks, as they are."""
    return keras.ops.cast(x, "float32") if keras.backend.standardize_dtype(x.dtype) == "uint8" else x


class Batches(keras.utils.PyDataset):
    """The batches of all epochs, each a pure function of the seed and its number."""

    def __init__(self, columns, labels, size, epochs, seed):
        super().__init__()
        self.columns, self.labels, self.size, self.epochs, self.seed = columns, labels, size, epochs, seed
        self.steps = len(labels) // size
        self.targets = np.eye(labels.max() + 1, dtype="float32")
        self.epoch = None

    def __len__(self):
        return self.steps * self.epochs

    def __getitem__(self, number):
        epoch, step = divmod(number, self.steps)
        if epoch != self.epoch:
            generator = np.random.default_rng([self.seed, epoch])
            self.epoch, self.order = epoch, generator.permutation(len(self.labels)).astype("int32")
            self.start = generator.integers(2**31, dtype="int32")
        chosen = self.order[step * self.size:(step + 1) * self.size]
        seeds = np.stack([np.full_like(chosen, self.start), chosen], axis=1)  # (batch, 2)
        return {**cut(self.columns, chosen), "seed": seeds}, self.targets[self.labels[chosen]]


def as_columns(samples, encoder):
    """The samples as a dict of columns, by the kind of data that the encoder takes."""
    if isinstance(samples, dict):
        return samples
    kind = IMAGE if samples.ndim == 4 else kind_of_encoder(encoder) or IMAGE
    return {kind.column: samples}


def view(augment, encoder, samples):
    """The augmentation as a layer that takes seeds, or None."""
    if augment is False or augment is None and list(samples) != ["image"]:
        return None
    if augment is None:
        images = samples["image"]
        sides = [own or side for own, side in zip(size(encoder) or images.shape[1:], images.shape[1:])][:2]
        if min(sides) > 64:
            return augmentations.RandomResizedCrop(sides, flip=0.5)
        return augmentations.RandomCrop(sides, padding=min(sides) // 8, flip=0.5)
    if not isinstance(augment, keras.layers.Layer):
        raise TypeError(f"augment must be a layer from images to one view each, False or None. Received: {augment!r}")
    return augment if isinstance(augment, augmentations.Augmentation) else augmentations.View([augment])


def augmented(augment, samples):
    views = one(augment({**samples, "seed": np.zeros((count(samples), 2), "int32")}))
    if not hasattr(views, "shape") and not isinstance(views, dict):
        raise ValueError(f"augment must return one view of each image. Received: {len(views)} of them")
    return views


def one(views):
    """The view of a recipe that makes a single one, such as MAE's."""
    return views[0] if isinstance(views, (list, tuple)) and len(views) == 1 else views


def check_size(encoder, images, name):
    shape, expected = tuple(images.shape[1:]), size(encoder) or (None,) * 3
    if len(shape) != 3 or any(own not in (None, side) for own, side in zip(expected, shape)):
        raise ValueError(
            f"The encoder takes images of shape {expected}, height, width and channels: resize them, or augment to "
            f"that size in training. Received: {name} images of shape {shape}"
        )


def check_samples(encoder, samples, name):
    """Raises where the samples are not what the encoder takes."""
    if isinstance(samples, dict) or np.ndim(samples) != 4 and size(encoder) is None:
        as_taken(each(np.asarray, for_encoder(samples, encoder)), encoder)
    else:
        check_size(encoder, samples, name)


def size(encoder):
    """The shape of the images of an encoder, or None where it is not known."""
    shape = getattr(encoder, "input_shape", None)
    return shape[1:] if isinstance(shape, tuple) and len(shape) == 4 else None


def copied(encoder, drop_path, given):
    """A copy of the encoder, all of which trains; `given` is what it takes."""
    if drop_path is not None:
        copy = encoders.with_drop_path(encoder, drop_path)
    else:
        try:
            copy = type(encoder).from_config(encoder.get_config())
            copy(each(as_input, given), training=False)  # builds a subclass
            copy.set_weights(encoder.get_weights())
        except (NotImplementedError, TypeError, ValueError) as error:
            raise TypeError(
                "fine_tune trains a copy: the encoder must be built, and have a get_config from which its class can "
                f"make it again. Received: encoder={encoder}"
            ) from error
    copy.trainable = False
    copy.trainable = True  # where it is True already, setting it again frees no frozen part
    return copy


def as_input(x):
    return as_float(keras.ops.convert_to_tensor(x))


def with_head(encoder, given, classes, seed):
    """What the encoder takes to logits; all random states are set by the seed."""
    check_features(encoder(each(as_input, given), training=False))
    draw = keras.initializers.RandomNormal(stddev=2e-5, seed=seed)  # as in MAE
    head = keras.layers.Dense(classes, kernel_initializer=draw, dtype="float32", name="head")
    if isinstance(given, dict) or given.dtype.kind != "f":  # a Sequential takes one tensor of floats
        made = lambda x, name=None: keras.Input(x.shape[1:], dtype=keras.backend.standardize_dtype(x.dtype), name=name)
        inputs = {name: made(x, name) for name, x in given.items()} if isinstance(given, dict) else made(given)
        model = keras.Model(inputs, head(encoder(inputs)), name="classifier")
    else:
        model = keras.Sequential([encoder, head], name="classifier")
        model.build((None, *given.shape[1:]))
    seed_states(encoder, seed)
    return model


def seed_states(model, seed):
    """Sets the random states of a model's layers, so that one seed gives one training."""
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    for state, start in zip(states, np.random.default_rng(seed).integers(2**32, size=len(states)), strict=True):
        state.assign(np.array([start, 0], "uint32"))  # the second number counts the draws
