"""Inputs: what a sample is, for each kind of data: its column, its axes, its dtype, and the words of its errors.

A sample is a tensor or a dict of tensors whose axis 0 is the batch. What varies in size (graphs, texts, sounds) is
padded to a static size and carries a mask, bool, True where it is real. Then queues, banks, replicas, XLA and resuming
are the same for every kind.
"""

import dataclasses
import re
import warnings

import keras


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of data.

    Attributes:
        name: str, the word for one sample: `"image"`.
        column: str, the column of the data that holds it, and by which the kind is known.
        axes: names of the axes after the batch. A last axis in parentheses may be missing.
        also: further columns that belong to a sample where the data has them: masks, edges.
        ints: whether the column holds ints, such as the numbers of tokens.
        pixels: whether the values are pixels from 0 to 255.
        extents: int, how many of the axes, from the first, are its size (the others are channels).
    """

    name: str
    column: str
    axes: tuple
    also: tuple = ()
    ints: bool = False
    pixels: bool = False
    extents: int = 1

    @property
    def words(self):
        """The samples in the words of an error."""
        return {"audio": "sounds", "series": "series", "tokens": "tokens", "video": "clips"}.get(
            self.name, f"{self.name}s"
        )

    @property
    def ranks(self):
        """The ranks that a batch may have."""
        full = len(self.axes) + 1
        return (full - 1, full) if self.axes[-1].startswith("(") else (full,)

    @property
    def shape(self):
        """The shape of a batch, in words: `(batch, height, width, channels)`."""
        return f"(batch, {', '.join(axis.strip('()') for axis in self.axes)})"

    def size(self, sample):
        """The size of the samples of a batch, as far as it is known: a tuple of `extents` numbers."""
        return keras.ops.shape(self.tensor(sample))[1 : 1 + self.extents]

    def tensor(self, sample):
        """The tensor of the kind's own column, out of a sample that may be a dict."""
        return sample[self.column] if isinstance(sample, dict) else sample

    def sample(self, columns):
        """The sample out of the columns of the data: a tensor, or a dict where the data has the further columns too."""
        names = [name for name in (self.column, *self.also) if name in columns]
        return columns[self.column] if names == [self.column] else {name: columns[name] for name in names}


IMAGE = Kind("image", "image", ("height", "width", "channels"), pixels=True, extents=2)
VIDEO = Kind("video", "video", ("frames", "height", "width", "channels"), ("video_mask",), pixels=True, extents=3)
AUDIO = Kind("audio", "audio", ("samples", "(channels)"), ("audio_mask",))
SERIES = Kind("series", "series", ("time", "channels"), ("series_mask",))
TOKENS = Kind("tokens", "token_ids", ("length",), ("padding_mask", "segment_ids"), ints=True)
GRAPH = Kind("graph", "nodes", ("nodes", "(features)"), ("edges", "nodes_mask", "edges_mask"))
KINDS = (IMAGE, VIDEO, AUDIO, SERIES, TOKENS, GRAPH)


def kind_of(columns):
    """The kind of the data whose columns these are.

    Args:
        columns: dict of the data's columns, or their names.

    Returns:
        `Kind`, the first whose column is among them, or None.
    """
    return next((kind for kind in KINDS if kind.column in columns), None)


def kind_of_encoder(encoder):
    """The kind of data that an encoder takes, by the names of its inputs, their rank and dtype.

    Args:
        encoder: built `keras.Model`. One that takes several tensors takes a dict of them, by the names of the columns.

    Returns:
        `Kind`, or None where it cannot be told.
    """
    names = input_names(encoder)
    if names:
        return kind_of(names)
    shape = getattr(encoder, "input_shape", None)
    if not isinstance(shape, tuple):
        return None
    ints = takes_ints(encoder) and len(shape) == 2  # pixels may be ints, too
    return {(5, False): VIDEO, (4, False): IMAGE, (3, False): SERIES, (2, True): TOKENS, (2, False): AUDIO}.get(
        (len(shape), ints)
    )


def kind_or_images(encoder):
    """The kind of data that an encoder takes: images where it cannot be told."""
    return kind_of_encoder(encoder) or IMAGE


def input_names(encoder):
    """The columns that an encoder takes: the keys of its dict of inputs, or None where it takes one tensor."""
    tensors = input_tensors(encoder)
    return sorted(tensors) if tensors else None


def input_tensors(encoder):
    """The dict of inputs that an encoder takes, or None where it takes one tensor."""
    structure = getattr(encoder, "_inputs_struct", None)
    if isinstance(structure, (list, tuple)) and len(structure) == 1:
        structure = structure[0]
    return structure if isinstance(structure, dict) else None


def takes_ints(encoder):
    """Whether the encoder's first input holds ints."""
    tensors = getattr(encoder, "inputs", None) or ()
    return bool(tensors) and "int" in keras.backend.standardize_dtype(tensors[0].dtype)


def vocabulary(encoder):
    """How many different tokens an encoder knows, by the layer that takes its tokens; None where it cannot be told."""
    tensors = input_tensors(encoder) or {}
    tokens = tensors.get(TOKENS.column, (getattr(encoder, "inputs", None) or [None])[0])
    for layer in encoder.layers if takes_ints(encoder) or tensors else ():
        size = getattr(layer, "vocabulary", getattr(layer, "input_dim", None))
        if isinstance(size, int) and layer.input is tokens:
            return size
    return None


def labels_of_nodes(encoder):
    """How many different labels of nodes an encoder of graphs knows, by what makes vectors of them; or None."""
    nodes = (input_tensors(encoder) or {}).get(GRAPH.column)
    for operation in encoder.operations if nodes is not None else ():
        if isinstance(getattr(operation, "num_classes", None), int) and operation.input is nodes:
            return operation.num_classes
    return None


def for_encoder(sample, encoder):
    """What the encoder takes of a sample: the tensor of a dict, or those of its tensors that it has inputs for.

    Args:
        sample: tensor, or dict of tensors: a view, or the columns of the data.
        encoder: built `keras.Model`.

    Raises:
        ValueError: the sample lacks what the encoder takes.
    """
    names = input_names(encoder)
    if not isinstance(sample, dict):
        if names and len(names) > 1:
            raise ValueError(
                f"The encoder '{encoder.name}' takes a dict with {names}. Received: {describe(sample)}. Give the data "
                "these columns."
            )
        return {names[0]: sample} if names else sample
    if names:
        missing = [name for name in names if name not in sample]
        if missing:
            raise ValueError(
                f"The encoder '{encoder.name}' takes the columns {names}. Missing: {missing}. Received: "
                f"{describe(sample)}"
            )
        return {name: sample[name] for name in names}
    kind = kind_of(sample)
    if kind is None:
        own = kind_of_encoder(encoder)
        raise ValueError(
            f"The data needs the column {repr(own.column) if own else 'of the samples'}. Received: {describe(sample)}"
        )
    return sample[kind.column]


def together(samples):
    """The samples of several batches, one batch after the other, as one batch."""
    return keras.tree.map_structure(lambda *parts: keras.ops.concatenate(parts), *samples)


def rows(inputs):
    """The number of samples of a batch, int where it is static."""
    return keras.ops.shape(keras.tree.flatten(inputs)[0])[0]


def fingerprint(data):
    """What the data is, in the words of its pipeline, or None."""
    found = getattr(data, "fingerprint", None)  # a plain tf.data.Dataset has a method of this name
    return found if isinstance(found, str) else None


def describe(inputs):
    """A batch in the words of an error."""
    if isinstance(inputs, dict):
        return f"a dict with {sorted(inputs)}"
    return f"{type(inputs).__name__} of shape {getattr(inputs, 'shape', None)}"


# What a batch must be, as far as static shapes tell: it costs a compiled step nothing.


def static_shape(x):
    """The shape as far as it is known when a step is compiled, or None where not even the rank is."""
    shape = getattr(x, "shape", ())
    return None if getattr(shape, "rank", 0) is None else tuple(shape)


def check_fit(sample, encoder, what):
    """Raises where the static shapes of a sample do not fit the encoder.

    Args:
        sample: tensor, or dict of tensors, see `for_encoder`.
        encoder: built `keras.Model`.
        what: str, the sample in the words of the error: "The first view".
    """
    kind = kind_of_encoder(encoder)
    if isinstance(sample, dict):
        for name, tensor in (input_tensors(encoder) or {}).items():
            found = static_shape(sample[name])
            if found is not None and not fits(tensor.shape, found):
                raise ValueError(
                    f"{what} must fit the encoder '{encoder.name}', whose input '{name}' has the shape "
                    f"{tuple(tensor.shape)}. Received: shape={found}."
                )
        check_beside(kind_of(sample), sample)
        return
    expected, found = getattr(encoder, "input_shape", None), static_shape(sample)
    if not isinstance(expected, tuple) or kind is None or found is None:
        return
    if len(found) == len(expected) - 1 and expected[-1] == 1:  # gray images, one channel: Keras adds the axis
        found = (*found, 1)
    if not fits(expected, found):
        axes = ", ".join(axis.strip("()") for axis in kind.axes[: len(expected) - 1])
        raise ValueError(
            f"{what} must fit the encoder '{encoder.name}', which takes {kind.words} of shape (batch, "
            f"{', '.join(map(str, expected[1:]))}): {axes}. Received: shape={tuple(found)}."
        )


def fits(expected, found):
    pairs = zip(expected[1:], found[1:])
    return len(expected) == len(found) and all(None in pair or pair[0] == pair[1] for pair in pairs)


def check_beside(kind, sample):
    """Raises where the static shapes of a kind's further columns, masks and edges, do not go with its own column.

    Args:
        kind: `Kind`, or None for no check.
        sample: dict of tensors.
    """
    own = static_shape(sample[kind.column]) if kind is not None else None
    for name in kind.also if own else ():
        if name not in sample:
            continue
        found, dtype = static_shape(sample[name]), str(getattr(sample[name], "dtype", type(sample[name]).__name__))
        if name == "edges":
            expected, words = (own[0], None, 2), "(batch, edges, 2), the two nodes of each edge as ints"
        else:
            of = name.removesuffix("_mask") if name.removesuffix("_mask") in sample else kind.column
            expected = (static_shape(sample[of]) or ())[:2]
            words = f"{expected}, one value for each place of '{of}'"
        wrong = found is not None and expected and not fits((None, *expected), (None, *found))
        if wrong or name == "edges" and "int" not in dtype:
            raise ValueError(f"The column '{name}' must be {words}. Received: shape={found}, dtype={dtype}")


def check_edges(edges, mask, nodes):
    """Raises where an edge that is real leads from or to a node that is not there.

    Args:
        edges: int array `(batch, edges, 2)`; it is read in pieces, as it may be large.
        mask: bool array `(batch, edges)`, or None.
        nodes: int, number of nodes of a graph.
    """
    for begin in range(0, len(edges), 1024):
        piece = edges[begin : begin + 1024]
        wrong = (piece < 0) | (piece >= nodes)
        if mask is not None:
            wrong &= (mask[begin : begin + 1024] != 0)[:, :, None]
        if wrong.any():
            raise ValueError(
                f"edges must hold numbers of nodes of the same graph, from 0 to {nodes - 1}, where edges_mask is True. "
                f"Received: {piece[wrong][0]} in edges[{begin + wrong.nonzero()[0][0]}]"
            )


def check_column(name, values):
    """`"label"`, `"index"`, `"group"`, `"is_next"`: one int each; `"text"`: those of tokens, `"mask"`: of pixels."""
    axes = ("batch",), ("batch", "length"), ("batch", "height", "width")
    rank = {"label": 1, "index": 1, "group": 1, "is_next": 1, "text": 2, "mask": 3}.get(name)
    shape, dtype = static_shape(values), str(getattr(values, "dtype", type(values).__name__))
    if rank is not None and (shape is not None and len(shape) != rank or "int" not in dtype):
        words = ", ".join(axes[rank - 1])
        raise ValueError(
            f"The column '{name}' must be ints of shape {'(batch,)' if rank == 1 else f'({words})'}. Received: "
            f"shape={shape}, dtype={dtype}"
        )


TOPS = r"predictions|(\w+_)?head_dense|classifier"  # last layers of keras.applications and others


def check_no_top(backbone):
    """Raises where a network ends with a classifier."""
    found = getattr(backbone, "operations", None) or backbone.layers
    if not found:
        return
    last = found[-1]
    if isinstance(last, keras.Model):
        return check_no_top(last)
    softmax = getattr(getattr(last, "activation", None), "__name__", None) == "softmax"
    if softmax or isinstance(last, keras.layers.Softmax) or re.fullmatch(TOPS, last.name):
        raise ValueError(
            f"The network '{backbone.name}' ends with a classifier, '{last.name}': its outputs are classes, not "
            "features. Build it without, in keras.applications with include_top=False."
        )


# What is known of a `tf.data.Dataset` of users' own


def shuffles(dataset):
    """Whether a `tf.data.Dataset`, or one that it is made of, has a buffer that shuffles."""
    return any("Shuffle" in type(one).__name__ for one in made_of(dataset))


def made_of(dataset):
    """A `tf.data.Dataset`, and all that it is made of."""
    yield dataset
    for part in dataset._inputs() if hasattr(dataset, "_inputs") else ():
        yield from made_of(part)


def dropped(dataset):
    """How many samples a `tf.data.Dataset` of users' own leaves out with its last batch, as far as that is known."""
    last = next((one for one in made_of(dataset) if hasattr(one, "_drop_remainder")), None)
    # Below the last step that makes batches, batches are cuts of something longer; windows have no batch size.
    if not hasattr(last, "_batch_size") or not bool(last._drop_remainder):
        return 0
    (samples,) = last._inputs()
    return max(int(samples.cardinality()), 0) % int(last._batch_size)


def warn_of_dropped(dataset, what):
    """Warns where samples are left out of what should be all of them."""
    count = 0 if hasattr(dataset, "ordered") else dropped(dataset)
    if count:
        warnings.warn(
            f"The last {count} samples are not among {what}, as the data set drops a batch that is not full. Take "
            "drop_remainder=False of `batch`.",
            stacklevel=4,
        )
