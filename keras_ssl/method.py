"""Method: the base class of every self-supervised method."""

import inspect
import warnings

import keras
import numpy as np
from keras import ops

from keras_ssl import distribute


class Method(keras.Model):
    """A self-supervised method: an encoder, its views and an objective, trained by `fit`.

    A method writes `__init__` (all its branches are built there, and every argument becomes the attribute of the
    same name), `objective(views)` and, if something moves without a gradient (a teacher, a queue, a centre),
    `after_step(outputs)`. The rest is done here: the views, the custom `train_step` (loss scaled for the number of
    replicas and for half precision, gradients, optimizer, hook, metrics), `get_config`, the random state in every
    save.

    `objective(views)` gets the list of views, each `(batch, height, width, channels)`, and returns the scalar loss
    (the mean over the local batch), or a dict with `"loss"`, the terms to log (see `terms`), and whatever
    `after_step` needs. Never keep a tensor on `self` between the two: under `tf.distribute` the replicas are
    threads that share `self`.

    `after_step(outputs)` runs after the optimizer, outside of the gradient, and only when the optimizer really
    stepped: not between the steps of gradient accumulation, and not when an overflow in float16 skips the update.

    Class attributes:
        terms: names of the entries of the objective's dict that are logged beside the loss.
        needs: names of further columns of the data (`"label"`, `"index"`) that `objective` gets after the views.
        view_counts: the least and the largest number of views that `objective` takes; None where there is no largest.
        least_batch: the least number of images, of all replicas together, that the loss or its statistics need.

    Args:
        encoder: built `keras.Model` from images to features `(batch, dim)`; it keeps its preprocessing inside. See
            `keras_ssl.encoders`.
        augment: layer that is called with what the data holds, images or the pipeline's dict, and returns a list of
            views. See `keras_ssl.augment`: a `View` takes any layer of Keras or KerasCV. None where the data holds
            the views themselves: a list or tuple of views, or a dict with `"views"`.

    Raises:
        ValueError: the encoder is not built, or does not return features of rank 2.
    """

    terms = ()
    needs = ()
    view_counts = (1, None)
    least_batch = 1

    def __init__(self, encoder, augment=None, name=None, dtype=None):
        distribute.check_strategy()
        super().__init__(name=name, dtype=dtype, autocast=False)  # the encoder casts; the views stay as they are
        self.encoder = check_encoder(encoder)
        self.augment = augment
        self.logged = {term: keras.metrics.Mean(name=term) for term in self.terms}
        self.built = True

    def objective(self, views):
        raise NotImplementedError(f"{type(self).__name__} must write `objective(views)`, which returns the loss.")

    def after_step(self, outputs):
        pass

    @property
    def evaluated_encoder(self):
        """The encoder that the paper evaluates: the trained one, or with `DINO`, `IBOT` and `MSN` the teacher's.

        `predict`, `keras_ssl.export` and the scores of `keras_ssl.eval` take it.
        """
        return self.encoder

    def call(self, inputs, training=False):
        if not training:
            return self.evaluated_encoder(images_of(inputs, self.encoder), training=False)
        views = self.views(inputs)
        self.check_views(views)
        outputs = self.objective(views, *(self.column(inputs, name) for name in self.needs))
        return outputs if isinstance(outputs, dict) else {"loss": outputs}

    def views(self, inputs):
        if isinstance(inputs, dict) and "views" in inputs:
            return list(inputs["views"])
        if self.augment is not None:
            made = self.augment(inputs, training=True)
            return list(made) if isinstance(made, (list, tuple)) else [made]
        if isinstance(inputs, (list, tuple)):
            return list(inputs)
        raise ValueError(
            f"{type(self).__name__} was made with augment=None, so the data must hold the views: a dict with "
            f"'views', or ((view, view),). Received: {describe(inputs)}. Pass `augment=`, for example "
            "keras_ssl.augment.simclr(size), or map the views with keras_ssl.data.views."
        )

    def check_views(self, views):
        """Raises where the number or the static shapes of the views do not fit. It costs the compiled step nothing."""
        check_counts(self, views)
        check_images(views[0], self.encoder, "The first view")

    def limits(self):
        """For columns of the data that number something, how many there are."""
        return {}

    def column(self, inputs, name):
        if isinstance(inputs, dict) and name in inputs:
            check_column(name, inputs[name])
            return inputs[name]
        raise ValueError(
            f"{type(self).__name__} needs the column '{name}' of the data, next to 'image'. Received: "
            f"{describe(inputs)}. The pipelines of keras_ssl.data make 'index' and 'label' (`index=True`, "
            "`labels=True`); add others with `map`."
        )

    # One training step. Keras has one form of it per backend.

    def train_step(self, *args):
        return {"tensorflow": step_tensorflow, "jax": step_jax, "torch": step_torch}[keras.backend.backend()](
            self, *args
        )

    def test_step(self, *args):
        raise NotImplementedError(
            "The loss of a self-supervised method needs two views and the statistics of the batch, and says little "
            "about the features: evaluate the features with keras_ssl.eval (KNN, LinearProbe, CollapseMonitor), as "
            "callbacks of `fit` or as functions on `model.evaluated_encoder`."
        )

    def local_loss(self, outputs):
        """What a replica differentiates, float32 at least: the optimizer sums the gradients of the replicas."""
        dtype = keras.backend.result_type(outputs["loss"].dtype, "float32")
        terms = [outputs["loss"], *self.losses]  # the losses that Keras keeps are regularizers
        return sum(ops.cast(term, dtype) for term in terms) / distribute.replicas()

    def may_skip(self):
        """Whether there are steps in which the optimizer leaves the weights alone."""
        optimizer = self.optimizer
        return isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or bool(optimizer.gradient_accumulation_steps)

    def log(self, outputs, rows):
        self._loss_tracker.update_state(outputs["loss"], sample_weight=rows)
        for term, metric in self.logged.items():
            metric.update_state(outputs[term], sample_weight=rows)
        return self.get_metrics_result()

    def fit(self, x=None, *args, **kwargs):
        if hasattr(x, "element_spec"):  # a tf.data pipeline shuffles itself; Keras warns unless told
            kwargs.setdefault("shuffle", False)
            x = inspected(x, self)
        check_accumulation(self)
        return super().fit(x, *args, **kwargs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras takes one batch from the data to build the model, which fails on several hosts and would disturb the
        # order of the data; everything but the optimizer is built in __init__.
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    # Saving

    def get_config(self):
        config = {"name": self.name, "dtype": keras.dtype_policies.serialize(self.dtype_policy)}
        return config | {n: keras.saving.serialize_keras_object(getattr(self, n)) for n in arguments(type(self))}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**{n: keras.saving.deserialize_keras_object(v, custom_objects) for n, v in config.items()})

    def get_build_config(self):
        return None  # built in __init__

    def save_own_variables(self, store):
        # Keras saves no random state: a run that goes on would repeat its augmentation and dropout.
        super().save_own_variables(store)
        states = [v.numpy().astype("int64") for v in random_states(self)]
        store["random_state"] = np.stack(states) if states else np.zeros((0, 2), "int64")

    def load_own_variables(self, store):
        states = [np.asarray(state) for state in store["random_state"]] if "random_state" in store.keys() else []
        super().load_own_variables({key: store[key] for key in store.keys() if key != "random_state"})
        for variable, state in zip(random_states(self), states):
            variable.assign(ops.cast(state, variable.dtype))


def step_tensorflow(self, data):
    import tensorflow as tf

    inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        outputs = self(inputs, training=True)
        loss = self.optimizer.scale_loss(self.local_loss(outputs))
    weights = self.trainable_variables
    gradients = tape.gradient(loss, weights)
    gradients = [g if g is None else tf.convert_to_tensor(g) for g in gradients]  # embeddings have sparse ones
    if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
        gradients = share_overflow(gradients)
    before = tf.identity(self.optimizer.iterations)
    self.optimizer.apply(gradients, weights)
    if self.may_skip():  # a tf.cond may not hold the collectives of a hook that gathers: run it and take it back
        state = [(variable, tf.identity(variable.value)) for variable in self.non_trainable_variables]
        stepped = self.optimizer.iterations > before
        self.after_step(outputs)
        for variable, old in state:
            variable.assign(tf.where(stepped, variable.value, old))
    else:
        self.after_step(outputs)
    logs = self.log(outputs, rows(inputs))
    if distribute.is_multi_worker(self.distribute_strategy):
        logs = {name: tf.reshape(value, (1,)) for name, value in logs.items()}  # Keras reduces them along axis 0
    return logs


def step_jax(self, state, data):
    import jax

    trainable, others, optimizer, metrics = state
    inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)

    def compute(trainable, others):
        outputs, others = self.stateless_call(trainable, others, inputs, training=True)
        with scope(self, trainable, others, optimizer):
            return self.optimizer.scale_loss(self.local_loss(outputs)), (outputs, others)

    (_, (outputs, others)), gradients = jax.value_and_grad(compute, has_aux=True)(trainable, others)
    with scope(self, trainable, others, optimizer):
        before = ops.convert_to_tensor(self.optimizer.iterations)
    trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
    with scope(self, trainable, others, optimizer, metrics) as moved:
        self.after_step(outputs)
        stepped = self.optimizer.iterations > before
        logs = self.log(outputs, rows(inputs))
    metrics = [current(moved, variable) for variable in self.metrics_variables]
    after = [current(moved, variable) for variable in self.non_trainable_variables]
    if self.may_skip():
        after = [ops.where(stepped, new, old) for new, old in zip(after, others)]
    return logs, (trainable, after, optimizer, metrics)


def step_torch(self, data):
    import torch

    inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    self.zero_grad()
    outputs = self(inputs, training=True)
    self.optimizer.scale_loss(self.local_loss(outputs)).backward()
    weights = list(self.trainable_variables)
    before = int(self.optimizer.iterations)
    with torch.no_grad():
        self.optimizer.apply([weight.value.grad for weight in weights], weights)
        outputs = keras.tree.map_structure(lambda x: x.detach() if hasattr(x, "detach") else x, outputs)
        if int(self.optimizer.iterations) > before:
            self.after_step(outputs)
    return self.log(outputs, rows(inputs))


def share_overflow(gradients):
    """Makes an overflow on one replica known to all: `LossScaleOptimizer` looks at the first replica only."""
    if distribute.context() is None:
        return gradients
    overflow = distribute.total(sum(ops.sum(g * 0) for g in gradients if g is not None))  # 0, or not a number
    first = next(i for i, g in enumerate(gradients) if g is not None)
    return [g + overflow if i == first else g for i, g in enumerate(gradients)]


def scope(self, trainable, others, optimizer, metrics=()):
    pairs = [*zip(self.trainable_variables, trainable), *zip(self.non_trainable_variables, others)]
    pairs += [*zip(self.optimizer.variables, optimizer), *zip(self.metrics_variables, metrics)]
    return keras.StatelessScope(state_mapping=pairs)


def current(moved, variable):
    value = moved.get_current_value(variable)
    return variable.value if value is None else value


def rows(inputs):
    return ops.shape(keras.tree.flatten(inputs)[0])[0]


def random_states(model):
    return [v for v in model.variables if v.path.endswith("seed_generator_state")]


def arguments(cls):
    """Names of the arguments of `__init__`, those that go on to the parent's through `**kwargs` included."""
    names = []
    for owner in cls.__mro__[: cls.__mro__.index(Method) + 1]:
        if "__init__" not in vars(owner):
            continue
        parameters = list(inspect.signature(owner.__init__).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in ("name", "dtype", *names)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


def check_encoder(encoder):
    if not isinstance(encoder, keras.Model):
        raise ValueError(
            "encoder must be a keras.Model from images to features (batch, dim), for example "
            f"keras_ssl.encoders.resnet18(input_shape=(32, 32, 3)). Received: {encoder!r}"
        )
    try:
        shape = encoder.output_shape
    except (AttributeError, ValueError):
        shape = None
    if shape is None or not encoder.built:
        raise ValueError(
            f"encoder '{encoder.name}' is not built, so the size of its features is unknown. Give a Sequential an "
            "Input; wrap a subclassed model: images = keras.Input(shape); keras.Model(images, encoder(images))."
        )
    if not (isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[-1], int)):
        raise ValueError(
            f"encoder '{encoder.name}' must return features of shape (batch, dim). Received: output shape {shape}. "
            "Pool the map or the tokens first: keras_ssl.encoders.pool(backbone)."
        )
    return encoder


def describe(inputs):
    if isinstance(inputs, dict):
        return f"a dict with {sorted(inputs)}"
    return f"{type(inputs).__name__} of shape {getattr(inputs, 'shape', None)}"


def check_accumulation(model):
    """Not in `compile`: Keras would not compile a loaded model whose `compile` is not its own."""
    replicas = getattr(getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    steps = getattr(optimizer, "gradient_accumulation_steps", None)
    if steps and replicas > 1:
        raise ValueError(
            "Keras cannot accumulate gradients on several replicas of tf.distribute. Received: "
            f"gradient_accumulation_steps={steps} under {replicas} replicas. Leave it None, and use more replicas or "
            "mixed precision for a larger batch."
        )


# What the data may be, as far as shapes tell.


def images_of(inputs, encoder):
    """The images that `predict` is called on."""
    if isinstance(inputs, dict) and "image" not in inputs:
        raise ValueError(f"predict needs the column 'image' of the data. Received: {describe(inputs)}")
    images = inputs["image"] if isinstance(inputs, dict) else inputs
    check_images(images, encoder, "The data")
    return images


def check_images(images, encoder, what):
    expected, found = getattr(encoder, "input_shape", None), static_shape(images)
    if not isinstance(expected, tuple) or len(expected) != 4 or found is None:
        return
    if len(found) == 3 and expected[-1] == 1:  # grey images without an axis for it, which Keras adds
        return
    if len(found) != 4 or any(None not in pair and pair[0] != pair[1] for pair in zip(expected[1:], found[1:])):
        raise ValueError(
            f"{what} must fit the encoder '{encoder.name}', which takes images of shape (batch, "
            f"{', '.join(map(str, expected[1:]))}): height, width, channels. Received: shape={tuple(found)}."
        )


def static_shape(x):
    """The shape as far as it is known when a step is compiled, or None where not even the rank is."""
    shape = getattr(x, "shape", ())
    return None if getattr(shape, "rank", 0) is None else tuple(shape)


def check_counts(method, views):
    """The number of views, and of the images in them."""
    least, most = method.view_counts
    if len(views) < least or most is not None and len(views) > most:
        wanted = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(
            f"{type(method).__name__} takes {wanted} view{'' if least == most == 1 else 's'} of each image. Received: "
            f"{len(views)}, by augment={method.augment}"
        )
    shape = static_shape(keras.tree.flatten(views[0])[0])
    rows = shape[0] if shape else None
    if isinstance(rows, int) and rows * distribute.replicas() < method.least_batch:
        raise ValueError(
            f"{type(method).__name__} needs {method.least_batch} images in a batch, or more"
            f"{', to compare them with each other' if method.least_batch > 1 else ''}. Received: a batch of {rows}. "
            "Is it the last of an epoch? Drop it with drop_remainder=True, or raise batch_size."
        )


def check_column(name, values):
    """`"label"` and `"index"` are one int for each image, `"text"` is the ints of its tokens."""
    rank = {"label": 1, "index": 1, "text": 2}.get(name)
    shape, dtype = static_shape(values), str(getattr(values, "dtype", type(values).__name__))
    if rank is not None and (shape is not None and len(shape) != rank or "int" not in dtype):
        raise ValueError(
            f"The column '{name}' must be ints of shape {'(batch,)' if rank == 1 else '(batch, length)'}. Received: "
            f"shape={shape}, dtype={dtype}"
        )


# What the data may be, as far as the host sees it at little cost.


def inspected(dataset, method):
    """A `tf.data` pipeline that ends with an error where an index, label or token is out of the method's range, or
    where the first images of an epoch are not finite, and warns where these look like 0..1 in the place of 0..255.

    All on the host, beside the training step. Without it, an index out of range is an error inside of TensorFlow on a
    CPU, and is not seen at all on a GPU.
    """
    import tensorflow as tf

    spec = dataset.element_spec
    if not isinstance(dataset, tf.data.Dataset) or not isinstance(spec, dict):
        return dataset
    dense = {name for name, one in spec.items() if isinstance(one, tf.TensorSpec)}
    limits = {name: limit for name, limit in method.limits().items() if name in dense and spec[name].dtype.is_integer}
    floats = "image" in dense and spec["image"].dtype.is_floating
    told = []

    def check(number, batch):
        for name, limit in limits.items():
            column = tf.cast(batch[name], tf.int64)
            fine = tf.reduce_all((column >= 0) & (column < limit))
            tf.cond(fine, lambda: True, lambda: tf.numpy_function(refuse, [name, column, limit], tf.bool))
        if floats:
            tf.cond(number > 0, lambda: True, lambda: tf.numpy_function(look, [batch["image"]], tf.bool))
        return batch

    def refuse(name, column, limit):
        first = column[(column < 0) | (column >= limit)][0]
        raise ValueError(
            f"The column '{name.decode()}' of the data must be from 0 to {limit - 1}, as {type(method).__name__} was "
            f"made. Received: {first}"
        )

    def look(images):
        check_pixels(images, told)
        return True

    return dataset.enumerate().map(check) if limits or floats else dataset


def check_pixels(images, told):
    """Raises where an image of a batch is not finite; warns once, by the list `told`, where pixels look like 0..1."""
    broken = np.flatnonzero(~np.isfinite(images).reshape(len(images), -1).all(axis=1))
    if broken.size:
        raise ValueError(f"Image {broken[0]} of the first batch holds NaN or infinite pixels. They must be 0..255.")
    low, high = images.min(initial=0), images.max(initial=0)
    if not told and 0 < high <= 1 and low >= -1:
        told.append(True)
        warnings.warn(
            f"The images of the first batch go from {low:.3g} to {high:.3g}. Pixels are expected in 0..255, by "
            "augmentations and encoders alike: multiply them.",
            stacklevel=2,
        )
