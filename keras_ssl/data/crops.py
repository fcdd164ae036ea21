"""Crops: image files -> views, of JPEG files no more decoded than the crops show.

A crop of a photograph shows a part of it, and shrinks that part. So the boxes are drawn first, from the size in the
file's header; then one decoding gives the smallest rectangle with all boxes of all views, and each view is resampled
from it. No image of a common size comes between the file and the views: the crops see all the pixels that there are.
"""

import keras
import tensorflow as tf
from keras import ops

from keras_ssl.data.decode import colors, decode, orientation, oriented, pair, stored, which, with_alpha
from keras_ssl.data.folder import classes, find, loader, one_path, problem_of_file, usable
from keras_ssl.data.host import on_host
from keras_ssl.data.order import Order, flag
from keras_ssl.data.pipeline import Content, Pipeline, shortened
from keras_ssl.data.view import compile_where, in_order, loop, together, views

# A decoder that interpolates colors needs the neighbors of a pixel: with this many, the decoded part of an image is
# equal to the same part of the decoded image, bit for bit, for all subsamplings of JPEG.
MARGIN = 2
# `scaled_decode` leaves this many times as many pixels as the view has, along either side.
SPARE = 2


def image_folder_views(
    path,
    augment,
    batch_size,
    *,
    shuffle=True,
    seed=0,
    labels=False,
    index=False,
    drop_remainder=None,
    channels=3,
    orient=True,
    scaled_decode=False,
    on_error="raise",
    epoch=0,
    start=0,
    parallel_calls=tf.data.AUTOTUNE,
    jit_compile="auto",
):
    """Views of all images below a folder, cropped out of the files: a shuffled, deterministic, resumable pipeline.

    The views are those that `augment` makes of the whole images with the same seeds. Of a JPEG file only the part that
    the crops show is decoded, once for all views, so no images of one size are needed before: large photographs keep
    their detail, small ones are enlarged by the crop.

    Args:
        path: the folder, see `image_folder`.
        augment: `keras_ssl.augment.Views` whose views begin with a `RandomResizedCrop`, such as the recipes; or
            `keras_ssl.augment.Located` of such, for the boxes too.
        batch_size: images in a batch.
        scaled_decode: whether JPEG files are decoded at 1/2, 1/4 or 1/8 of their size where every box of an image is
            at least twice as large as its view even then. The views then differ from the exact ones, by 1.3 of the 255
            levels on average, and by less than 7 in 99 % of the pixels. Faster for photographs of several megapixels.
        shuffle, seed, labels, index, drop_remainder, channels, orient, on_error, epoch, start, parallel_calls: see
            `image_folder`. A truncated JPEG file is an error where a crop needs the part that is missing; with
            `on_error="skip"` it is always left out.
        jit_compile: whether XLA compiles what follows the crops, see `views`.

    Returns:
        `tf.data.Dataset` of dicts: `"views"`, a tuple of float32 `(batch, height, width, channels)`, and `"label"`,
        `"index"` int32 `(batch,)`. Attributes: `epoch`, `file_paths`, `class_names` (with labels).

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if it holds no images, no class folders where labels are asked for, or if a view does not begin
            with a crop.

    Example:
        ```python
        pairs = keras_ssl.data.image_folder_views("photos/", keras_ssl.augment.simclr(224), batch_size=256)
        model.fit(pairs, epochs=100, shuffle=False)
        ```
    """
    path = one_path(path)
    flag("labels", labels)
    paths, left_out = find(path, on_error)
    numbers, class_names = classes(path, paths) if labels else (None, None)
    dataset = files_views(
        paths,
        augment,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        labels=numbers,
        index=index,
        drop_remainder=drop_remainder,
        channels=channels,
        orient=orient,
        scaled_decode=scaled_decode,
        on_error=on_error,
        epoch=epoch,
        start=start,
        parallel_calls=parallel_calls,
        jit_compile=jit_compile,
    )
    return dataset.named(left_out=left_out, **({"class_names": class_names} if labels else {}))


def files_views(
    paths,
    augment,
    batch_size,
    *,
    shuffle=True,
    seed=0,
    labels=None,
    index=False,
    drop_remainder=None,
    channels=3,
    orient=True,
    scaled_decode=False,
    on_error="raise",
    epoch=0,
    start=0,
    parallel_calls=tf.data.AUTOTUNE,
    jit_compile="auto",
):
    """Views of a list of image files, cropped out of the files: a shuffled, deterministic, resumable pipeline.

    Args:
        paths, labels: see `files`.
        others: see `image_folder_views`.

    Returns:
        `tf.data.Dataset` of dicts, see `image_folder_views`.

    Raises:
        ValueError: if there are no paths, not as many labels as paths, or a view that does not begin with a crop.

    Example:
        ```python
        pairs = keras_ssl.data.files_views(["a.jpg", "b.png"], keras_ssl.augment.simclr(64), 2, labels=[0, 1])
        ```
    """
    branches = Branches(augment)
    channels = colors(channels)
    flag("scaled_decode", scaled_decode)
    flag("orient", orient)
    paths, labels = usable(paths, labels, on_error, None, channels, True, orient)
    order = Order(
        len(paths),
        batch_size,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
        start=start,
        drop_remainder=drop_remainder,
    )

    def pixels(data, seeds):
        def draw(height, width):
            return boxes(seeds, height, width)

        crops, places = cut(data, draw, branches.sizes, channels, scaled_decode, orient)
        return (*crops, places) if branches.located else crops

    load = loader(
        paths,
        labels,
        pixels,
        lambda path: problem_of_file(path, channels, None, True, orient),
        spec=branches.spec(channels),
        index=index,
        parallel_calls=parallel_calls,
    )
    boxes, crop_seeds, finish = on_host(branches.boxes), on_host(branches.crop_seeds), finisher(branches, jit_compile)

    def make(order):
        def with_seeds(epoch, place, number):
            return epoch, place, number, crop_seeds(order.seeds(epoch, number))

        return views(load(order, order.samples(extra=1).batch(256).map(with_seeds).unbatch()), finish)

    return Pipeline(make, order, content=Content([*shortened(paths), labels]), file_paths=paths)


def finisher(branches, jit_compile):
    """A function from a batch, with the tuple of crops as its `"image"`, to the views."""
    compiles = branches.separable and keras.backend.backend() == "tensorflow"
    jit_compile = compile_where(jit_compile, compiles, branches.augment)
    compiled = jit_compile and any(len(layers) > 1 for layers in branches.layers)
    program = tf.function(lambda crops, seeds: branches.finish(crops, seeds, one_by_one=True), jit_compile=True)
    whole = on_host(lambda crops, seeds: branches.finish(crops, seeds, one_by_one=False), branches.separable)

    def finish(batch):
        crops, seeds = batch["image"], batch["seed"]
        places = crops[len(branches.views) :]
        crops = crops[: len(branches.views)]
        made = program(crops, seeds) if compiled else whole(crops, seeds)
        return (*in_order(branches.views, made), *places)

    return finish


class Branches:
    """The views of an augmentation, taken apart into their crops and what follows them.

    Args:
        augment: `keras_ssl.augment.Views`, or one `View`; or `keras_ssl.augment.Located`.
    """

    def __init__(self, augment):
        self.located = getattr(augment, "locates", False)
        augment = augment.views if self.located else augment
        several = getattr(augment, "views", None)
        self.augment = augment
        self.views = [augment] if several is None else [several] * augment.count if augment.count else several
        self.layers = [list(getattr(view, "layers", [view])) for view in self.views]
        self.crops = [layers[0] for layers in self.layers]
        if not all(hasattr(crop, "boxes") for crop in self.crops):
            raise ValueError(
                "augment must be keras_ssl.augment.Views in which every view begins with a RandomResizedCrop: only "
                f"then it is known what to decode. Received: augment={augment}, first layers: {self.crops}. "
                "For others: keras_ssl.data.views(keras_ssl.data.image_folder(...), augment)."
            )
        self.sizes = [pair(crop.size) for crop in self.crops]
        self.separable = all(view.separable for view in self.views)
        # Views with foreign layers: another layer in place of the crop, as the seeds go by the place.
        self.foreign = {
            id(view): type(view)([keras.layers.Identity(dtype="float32"), *layers[1:]])
            for view, layers in zip(self.views, self.layers, strict=True)
            if not view.separable
        }

    def spec(self, channels):
        """What is made of a file: the crops, and where they lie."""
        crops = tuple(tf.TensorSpec((*size, channels), tf.float32) for size in self.sizes)
        return (*crops, tf.TensorSpec((len(self.sizes), 4), tf.float32)) if self.located else crops

    def seeds(self, seeds):
        """The seeds of each view, from those of the samples."""
        return [seeds] if self.views[0] is self.augment else self.augment.split(seeds)

    def crop_seeds(self, seeds):
        """The seeds `(batch, views, 2)` of the crops."""
        found = [view.split(own)[0] for view, own in zip(self.views, self.seeds(seeds), strict=True)]
        return ops.stack(found, axis=1)

    def boxes(self, seeds, height, width):
        """Boxes and flips in one image.

        Args:
            seeds: int32 `(views, 2)`, of the crops.
            height, width: int32 scalars.

        Returns:
            int32 `(views, 4)`: top, left, height and width; bool `(views,)`.
        """
        boxes, flips = [None] * len(self.crops), [None] * len(self.crops)
        for crop, places in together(self.crops):
            *drawn, flipped = crop.place(ops.stack([seeds[place] for place in places]), (height, width))
            drawn = ops.cast(ops.concatenate(drawn, axis=1), "int32")
            for row, place in enumerate(places):
                boxes[place], flips[place] = drawn[row], flipped[row]
        return ops.stack(boxes), ops.stack(flips)

    def finish(self, crops, seeds, one_by_one):
        """What follows the crops.

        Args:
            crops: a batch of float32 images for each view.
            seeds: int32 `(batch, 2)`, of the samples.
            one_by_one: whether to loop over the images, as a compiled program likes it.

        Returns:
            List of tensors: for each of the different views what was made of its crops, one after the other.
        """
        seeds, finished = self.seeds(seeds), []
        for view, places in together(self.views):
            layers, size = self.layers[places[0]], self.sizes[places[0]]
            images = ops.concatenate([crops[place] for place in places], axis=0)
            own = ops.concatenate([seeds[place] for place in places], axis=0)
            if id(view) in self.foreign:
                images = self.foreign[id(view)](images, seeds=own)
            elif len(layers) > 1:

                def one(element, layers=layers):
                    image, own = tf.nest.map_structure(lambda x: x[None], element)
                    return run(layers[1:], image, own)[0]

                # The draws of the crop are not used, and so not computed.
                draws = view.draw(own, size)["drawn"][1:]
                images = loop(one, (images, draws)) if one_by_one else run(layers[1:], images, draws)
            finished.append(images)
        return finished


def run(layers, images, draws):
    for layer, own in zip(layers, draws, strict=True):
        images = layer.transform(images, **own)
    return images


def cut(data, draw, sizes, channels, scaled_decode, orient=False):
    """The crops out of the bytes of an image file.

    Args:
        data: string scalar.
        draw: `draw(height, width)` -> the boxes of the views in an image of this size, int32 `(views, 4)`: top, left,
            height and width, and whether each is mirrored, bool `(views,)`.
        sizes: the (height, width) of each view.
        channels: 1, 3 or 4.
        scaled_decode, orient: see `image_folder_views`.

    Returns:
        tuple of float32 `(height, width, channels)`, and float32 `(views, 4)`, where they lie, as
        `keras_ssl.augment.Located` says it.
    """
    jpeg = tf.equal(which(data, channels), 1)
    number = orientation(data) if orient else tf.constant(1)

    def header():
        shape = tf.io.extract_jpeg_shape(data)[:2]
        return tf.where(number >= 5, shape[::-1], shape), tf.zeros((0, 0, channels), tf.uint8)

    def other():
        image = decode(data, channels, orient)
        return tf.shape(image)[:2], image

    shape, image = tf.cond(jpeg, header, other)
    boxes, flips = draw(shape[0], shape[1])
    start, length = boxes[:, :2], boxes[:, 2:]
    # A pixel of a smaller image that is mirrored covers no whole pixels of the mirrored image: those are not shrunk.
    ratio = tf.where(number == 1, reduction(length, sizes), 1) if scaled_decode else 1

    def part():
        small = -(-shape // ratio)
        low = tf.maximum(tf.reduce_min(start, axis=0) // ratio - MARGIN, 0)
        high = -(-tf.reduce_max(start + length, axis=0) // ratio) + MARGIN
        window = tf.concat([low, tf.minimum(high, small) - low], axis=0)
        window = stored(window, tf.where(number >= 5, small[::-1], small), number)
        return low, oriented(decode_part(data, window, channels, ratio), number)

    corner, image = tf.cond(jpeg, part, lambda: (tf.zeros(2, tf.int32), image))
    if scaled_decode:
        ratio = tf.where(jpeg, ratio, 1)
    crops = tuple(
        resample(image, start[view] - ratio * corner, length[view], flips[view], size, ratio)
        for view, size in enumerate(sizes)
    )
    return crops, corners(start, start + length, flips)


def corners(start, end, flips):
    """Top, left, bottom and right, with left and right of mirrored boxes exchanged, float32 `(views, 4)`."""
    (top, left), (bottom, right) = (tf.unstack(tf.cast(x, tf.float32), axis=1) for x in (start, end))
    return tf.stack([top, tf.where(flips, right, left), bottom, tf.where(flips, left, right)], axis=1)


def reduction(length, sizes):
    """How much smaller an image may be decoded: 1, 2, 4 or 8."""
    shrink = tf.reduce_min(length // tf.constant(sizes))
    return tf.where(shrink >= 8 * SPARE, 8, tf.where(shrink >= 4 * SPARE, 4, tf.where(shrink >= 2 * SPARE, 2, 1)))


def decode_part(data, window, channels, ratio):
    """The part `window` (top, left, height, width) of a JPEG image that is decoded at 1 / `ratio` of its size."""

    def at(ratio):
        part = tf.io.decode_and_crop_jpeg(
            data, window, channels=min(channels, 3), ratio=ratio, dct_method="INTEGER_ACCURATE"
        )
        return with_alpha(part, channels)

    if isinstance(ratio, int):
        return at(ratio)
    which = tf.where(ratio == 8, 3, ratio // 2)
    return tf.switch_case(which, [lambda: at(1), lambda: at(2), lambda: at(4), lambda: at(8)])


def resample(image, start, length, flip, size, ratio):
    """The box of an image as a view, as `RandomResizedCrop` resamples it.

    Args:
        image: uint8 `(h, w, channels)`, at 1 / `ratio` of the size that `start` and `length` are measured in.
        start, length: int32 `(2,)`, the box.
        flip: bool scalar.
        size: (height, width) of the view.
        ratio: int.

    Returns:
        float32 `(height, width, channels)`.
    """
    low, high = start // ratio, -(-(start + length) // ratio)
    box = tf.slice(image, tf.concat([low, [0]], 0), tf.concat([high - low, [-1]], 0))[None]

    def enlarged():
        return tf.raw_ops.ResizeBilinear(images=box, size=size, half_pixel_centers=True)

    def shrunk():
        scale = tf.constant(size, tf.float32) * tf.cast(ratio, tf.float32) / tf.cast(length, tf.float32)
        shift = tf.cast(start / ratio - tf.cast(low, tf.float64), tf.float32)
        return tf.raw_ops.ScaleAndTranslate(
            images=box, size=size, scale=scale, translation=-shift * scale, kernel_type="triangle", antialias=True
        )

    # The same without the wider triangle, which needs a box that shrinks nowhere, at a fifth of the time.
    view = tf.cond(tf.reduce_all(length <= size), enlarged, shrunk)
    view = tf.cond(flip, lambda: tf.reverse(view, [2]), lambda: view)
    return tf.ensure_shape(view[0], (*size, image.shape[-1]))
