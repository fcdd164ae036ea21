"""Catalog: data sets of tensorflow-datasets, by name -> batches."""

import numpy as np
import tensorflow as tf

from keras_ssl.data.decode import colors, decode, fit, pair, problem
from keras_ssl.data.guard import guarded
from keras_ssl.data.order import Order, whole
from keras_ssl.data.pipeline import Content, Pipeline


def tfds(
    name,
    size,
    batch_size,
    *,
    split="train",
    data_dir=None,
    image_key="image",
    label_key="label",
    shuffle=True,
    shuffle_buffer=10_000,
    seed=0,
    labels=False,
    index=False,
    drop_remainder=None,
    channels=3,
    upscale=False,
    epoch=0,
    start=0,
    parallel_calls=tf.data.AUTOTUNE,
):
    """A data set of tensorflow-datasets as a shuffled, deterministic, resumable pipeline of batches.

    What was prepared as array records is read at random, and each epoch is a permutation of the whole set, as for
    files. TFRecords, the default of tensorflow-datasets, can only be read one after the other: they pass in file order
    through a buffer of encoded images that is shuffled anew from (`seed`, epoch). Since tensorflow-datasets shuffles a
    set when it writes it, this mixes well also where the buffer is smaller than the set; but with `start`, the images
    before are read (not decoded) once more, and each of several hosts reads the records of all, and decodes its own.

    Args:
        name: of the data set, `"cifar10"` or `"imagenet2012:5.1.0"`. It is downloaded and prepared where it is absent.
        size: int or (height, width), see `image_folder`.
        batch_size: images in a batch.
        split: `"train"`, `"train[:10%]"`, `"train+test"`, ... in the language of tensorflow-datasets.
        data_dir: folder of the prepared data sets; None: `~/tensorflow_datasets`.
        image_key, label_key: names of the two features.
        shuffle_buffer: encoded images in the buffer, for TFRecords.
        shuffle, seed, drop_remainder, channels, upscale, epoch, start, parallel_calls: see `image_folder`.
        labels: whether to add `"label"`.
        index: whether to add `"index"`, the place of the sample in the order of the files.

    Returns:
        `tf.data.Dataset` of dicts, see `image_folder`.

    Raises:
        ValueError: if there is no such data set or split, or it has no such features.

    Example:
        ```python
        images = keras_ssl.data.tfds("stl10", 96, 256, split="unlabelled")
        ```
    """
    import tensorflow_datasets  # takes seconds to import, and only this function needs it

    size = pair(size)
    channels = colors(channels)
    whole("shuffle_buffer", shuffle_buffer, 1)
    try:
        builder = tensorflow_datasets.builder(name, data_dir=data_dir)
    except tensorflow_datasets.core.registered.DatasetNotFoundError:
        raise ValueError(
            f"tensorflow-datasets knows no data set {name!r}, and there is none below data_dir={data_dir!r}. "
            "tensorflow_datasets.list_builders() lists the names."
        ) from None
    if not builder.is_prepared():
        builder.download_and_prepare()
    features = dict(builder.info.features)
    if not isinstance(features.get(image_key), tensorflow_datasets.features.Image):
        raise ValueError(f"{name} has no image feature {image_key!r}. Pass image_key, one of: {features}")
    if labels and not isinstance(features.get(label_key), tensorflow_datasets.features.ClassLabel):
        raise ValueError(f"{name} has no class label {label_key!r}. Pass label_key, one of: {features}")

    order = Order(
        builder.info.splits[split].num_examples,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
        start=start,
        drop_remainder=drop_remainder,
    )
    encoded = {image_key: tensorflow_datasets.decode.SkipDecoding()}
    if builder.info.file_format == tensorflow_datasets.core.FileFormat.ARRAY_RECORD:
        source = builder.as_data_source(split=split, decoders=encoded)
        samples, read = at_random(source, image_key, label_key if labels else None)
    else:
        wanted = {image_key: True, label_key: True} if labels else {image_key: True}
        decoders = tensorflow_datasets.decode.PartialDecoding(wanted, decoders=encoded)
        reading = tensorflow_datasets.ReadConfig(try_autocache=False, skip_prefetch=True)
        source = builder.as_dataset(split=split, decoders=decoders, read_config=reading, shuffle_files=False)
        samples, read = in_sequence(source, image_key, label_key if labels else None, shuffle_buffer)

    def load(number, *record):
        data, label = read(number, *record)
        return fit(decode(data, channels), size, upscale), label

    def make(order):
        def describe(epoch, place):
            _, _, number, *record = next(iter(samples(order, epoch).skip(place - order.skipped(epoch))))
            which = f"Example {int(number)} of {name}, split {split!r},"
            data, _ = read(number, *record)
            return problem(which, data.numpy(), channels, size, upscale) or f"{which} could not be read."

        return guarded(
            order,
            order.passes().flat_map(lambda epoch: samples(order, epoch)),
            load,
            describe,
            spec=tf.TensorSpec((*size, channels), tf.uint8),
            labels=labels,
            index=index,
            parallel_calls=parallel_calls,
        )

    names = {"class_names": features[label_key].names} if labels else {}
    return Pipeline(make, order, content=Content([builder.info.full_name, split]), **names)


def at_random(source, image_key, label_key):
    """`samples(order, epoch)`, a dataset of numbers, and `read(number)` -> data, label, from a source read anywhere."""

    def fetch(number):
        example = source[int(number)]
        return example[image_key], np.int64(example[label_key] if label_key else 0)

    def read(number):
        data, label = tf.numpy_function(fetch, [number], (tf.string, tf.int64))
        return tf.ensure_shape(data, ()), tf.ensure_shape(label, ())

    return lambda order, epoch: order.one_pass(epoch, extra=1), read


def in_sequence(source, image_key, label_key, shuffle_buffer):
    """`samples(order, epoch)`, a dataset with the records in it, and `read`, which returns them."""

    def record(example):
        return example[image_key], tf.cast(example[label_key] if label_key else 0, tf.int64)

    def samples(order, epoch):
        def once(epoch):
            examples = source.map(record).enumerate()
            return shuffled(examples, shuffle_buffer, order.key(epoch)) if order.shuffle else examples

        examples = order.read(epoch, once).enumerate().take(order.used)
        examples = examples.filter(lambda position, example: order.is_own(position))
        examples = examples.map(lambda position, example: example).enumerate().skip(order.skipped(epoch))
        examples = examples.map(lambda place, example: (epoch, place, example[0], *example[1]))
        end = (epoch, tf.constant(order.places, tf.int64), tf.constant(0, tf.int64), b"", tf.constant(0, tf.int64))
        return examples.concatenate(tf.data.Dataset.from_tensors(end))

    return samples, lambda number, data, label: (data, label)


def shuffled(dataset, buffer, key):
    """`dataset.shuffle`, with an order that depends on nothing but `key`.

    The method itself mixes TensorFlow's global seed into its own.
    """
    seeds = tf.random.stateless_uniform((2,), key, None, None, tf.int64)
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=buffer,
        seed=seeds[0],
        seed2=seeds[1],
        reshuffle_each_iteration=False,
        output_types=[spec.dtype for spec in tf.nest.flatten(dataset.element_spec)],
        output_shapes=[spec.shape for spec in tf.nest.flatten(dataset.element_spec)],
    )
    return tf.data.experimental.from_variant(variant, dataset.element_spec)
