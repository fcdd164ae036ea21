"""Method: the base class of every self-supervised method."""

import inspect

import keras
import numpy as np
from keras import ops

from keras_ssl import batches, distribute, inputs, step
from keras_ssl.players import Players
from keras_ssl.rebuild import check_rebuildable


class Method(keras.Model):
    """A self-supervised method: an encoder, its views and an objective, trained by `fit`.

    A method writes `__init__` (all its branches are built there, and every argument becomes the attribute of the
    same name), `objective(views)` and, if something moves without a gradient (a teacher, a queue, a center),
    `after_step(outputs)`. The rest is done here: the views, the custom `train_step` (loss scaled for the number of
    replicas and for half precision, gradients, optimizer, hook, metrics), `get_config`, the random state in every
    save. It knows no kind of data: a view is a tensor, or a dict of tensors, whose axis 0 is the batch.

    `objective(views)` gets the list of views, for images each `(batch, height, width, channels)`, and returns the
    scalar loss (the mean over the local batch), or a dict with `"loss"`, the terms to log (see `terms`), and whatever
    `after_step` needs. Never keep a tensor on `self` between the two: under `tf.distribute` the replicas are
    threads that share `self`.

    `after_step(outputs)` runs after the optimizer, outside of the gradient, and only when the optimizer really
    stepped: not between the steps of gradient accumulation, and not when an overflow in float16 skips the update.
    `self.step` is the number of steps made before the current one, the same in `objective` and in `after_step`.

    A method with several players, such as a generator and a discriminator, names them in `players`, returns one loss a
    player, `{"loss": {"generator": ..., "discriminator": ...}}`, and is compiled with one optimizer a player. Each
    loss moves the weights of its player only (see `weights_of`). All players move at once, from one objective, unless
    `turns` says otherwise.

    Class attributes:
        terms: names of the entries of the objective's dict that are logged beside the loss.
        needs: names of further columns of the data (`"label"`, `"index"`) that `objective` gets after the views.
        view_counts: the smallest and the largest number of views that `objective` takes; None where there is no limit.
        least_batch: the smallest number of samples, of all replicas together, that the loss or its statistics need.
        unlabeled: whether the label -1 says that a sample has none.
        bounds: dict from the names of arguments to what they may be, see `keras_ssl.checks`: they are checked before
            `__init__` runs. Those of the parent class hold too.
        players: names of the players, where there are several optimizers.
        turns: tuple of tuples of players: each inner one is a turn, in which `objective` is called anew, with
            `turn=` its players, and these players move. A player may have several turns in a step.

    Args:
        encoder: built `keras.Model` from images, or another kind of data, to features `(batch, dim)`; it keeps its
            preprocessing inside. One that takes several tensors takes a dict of them, by the names of the data's
            columns. See `keras_ssl.encoders`.
        augment: layer that is called with what the data holds, images or the pipeline's dict, and returns a list of
            views. See `keras_ssl.augment`: a `View` takes any layer of Keras or KerasCV. None where the data holds
            the views themselves: a list or tuple of views, or a dict with `"views"`.

    Raises:
        TypeError: an argument that the method does not have.
        ValueError: the encoder is not built, or does not return features of rank 2; `augment` is no layer; or an
            argument is out of its bounds.
    """

    terms = ()
    needs = ()
    view_counts = (1, None)
    least_batch = 1
    unlabeled = False
    bounds = {}
    players = ()
    turns = ((None,),)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.players and "turns" not in vars(cls):
            cls.turns = (tuple(cls.players),)

    def __new__(cls, *args, **kwargs):
        check_arguments(cls, kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, encoder, augment=None, *, name=None, dtype=None):
        distribute.check_strategy()
        super().__init__(name=name, dtype=dtype, autocast=False)  # the encoder casts; the views stay as they are
        self.encoder = check_encoder(encoder)
        self.augment = check_augment(augment)
        self.step = self.keep("step", dtype="int32")
        distribute.check_scope(encoder, self.step)
        self.logged = {}
        self.track(*self.terms, *(f"{player}_loss" for player in self.players))
        self.built = True

    def track(self, *terms):
        """Logs further entries of the objective's dict, of a method whose terms depend on its arguments."""
        self.logged = {**self.logged, **{term: keras.metrics.Mean(name=term) for term in terms}}

    def keep(self, name, shape=(), initializer="zeros", dtype="float32"):
        """A weight that no gradient moves and half precision leaves as it is: a center, a counter, assignments."""
        return self.add_weight(shape, initializer, dtype, trainable=False, autocast=False, name=name)

    def objective(self, views):
        raise NotImplementedError(f"{type(self).__name__} must write `objective(views)`, which returns the loss.")

    def after_step(self, outputs):
        pass

    def weights_of(self, player):
        """The weights that a player moves: those of the attribute of its name, or all where there are no players."""
        return self.trainable_variables if player is None else getattr(self, player).trainable_variables

    @property
    def evaluated_encoder(self):
        """The encoder that the paper evaluates: the trained one, or the teacher's (as with `DINO`, `IBOT`, `IJEPA`).

        `predict`, `keras_ssl.export` and the scores of `keras_ssl.eval` take it.
        """
        return self.encoder

    def call(self, data, training=False, turn=None):
        if not training:
            return self.encoded(data)
        views = self.views(data)
        self.check_views(views)
        columns = [self.column(data, name) for name in self.needs]
        outputs = self.objective(views, *columns, **({"turn": turn} if len(self.turns) > 1 else {}))
        return outputs if isinstance(outputs, dict) else {"loss": outputs}

    def encoded(self, data):
        """What `predict` returns: float32 features of the samples, under every dtype policy."""
        encoder = self.evaluated_encoder
        sample = inputs.for_encoder(data, encoder)
        inputs.check_fit(sample, encoder, "The data")
        features = encoder(sample, training=False)
        return ops.cast(features, keras.backend.result_type(features.dtype, "float32"))

    def views(self, data):
        if isinstance(data, dict) and "views" in data:
            views = data["views"]
        elif self.augment is not None:
            views = augmented(self.augment, data)
        elif isinstance(data, (list, tuple)):
            views = data
        else:
            raise ValueError(
                f"{type(self).__name__} was made with augment=None, so the data must hold the views: a dict with "
                f"'views', or ((view, view),). Received: {inputs.describe(data)}. Pass `augment=`, for example "
                "keras_ssl.augment.simclr(size), or map the views with keras_ssl.data.views."
            )
        views = list(views) if isinstance(views, (list, tuple)) else [views]
        names = inputs.input_names(self.encoder)
        return [self.taken(view) if names or isinstance(view, dict) else view for view in views]

    def taken(self, view):
        """What the objective gets of a view: what the encoder takes of it."""
        return inputs.for_encoder(view, self.encoder)

    def check_views(self, views):
        """Raises where the number or the static shapes of the views do not fit. It costs the compiled step nothing."""
        check_counts(self, views)
        inputs.check_fit(views[0], self.encoder, "The first view")

    def check_samples(self, count, batch=None):
        """Raises where the data of `fit` has too few samples for the method's arguments; a method may have none.

        `batch` is how many of them a batch has, where that is known.
        """

    def limits(self):
        """For columns of the data that number something, how many there are."""
        return {}

    def column(self, data, name):
        if isinstance(data, dict) and name in data:
            inputs.check_column(name, data[name])
            return data[name]
        raise ValueError(
            f"{type(self).__name__} needs the column '{name}' of the data, next to the samples. Received: "
            f"{inputs.describe(data)}. The pipelines of keras_ssl.data make 'index' and 'label' (`index=True`, "
            "`labels=True`); add others with `map`."
        )

    # One training step. Keras has one form of it per backend.

    def train_step(self, *args):
        *state, data = args
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        if weights is not None:
            batches.refuse_weights(self, "sample_weight")
        if y is not None and "label" in self.needs:  # as Keras's own data has it
            column = inputs.kind_or_images(self.encoder).column
            y = y[:, 0] if len(y.shape) == 2 and y.shape[1] == 1 else y
            x = {"label": y, **(x if isinstance(x, dict) else {column: x})}
        return step.STEPS[keras.backend.backend()](self, *state, x)

    def test_step(self, *args):
        raise NotImplementedError(batches.NO_VALIDATION)

    def play(self, batch, turn):
        """What the objective returns in a turn."""
        return self(batch, training=True, turn=turn)

    def loss_of(self, outputs, player):
        return outputs["loss"] if player is None else outputs["loss"][player]

    def local_loss(self, outputs, player, extra=None):
        """What a replica differentiates, float32 at least: the optimizer sums the gradients of the replicas.

        `extra` is the list of losses that Keras keeps, regularizers and those of `add_loss`; None for `self.losses`.
        """
        loss = self.loss_of(outputs, player)
        dtype = keras.backend.result_type(loss.dtype, "float32")
        terms = [loss, *(self.losses if extra is None else extra)]
        return sum(ops.cast(term, dtype) for term in terms) / distribute.replicas()

    def log(self, outputs, rows):
        losses = outputs["loss"] if self.players else {}
        self._loss_tracker.update_state(sum(losses.values()) if losses else outputs["loss"], sample_weight=rows)
        values = outputs | {f"{player}_loss": loss for player, loss in losses.items()}
        for term, metric in self.logged.items():
            metric.update_state(values[term], sample_weight=rows)
        return self.get_metrics_result()

    # What Keras calls

    def compile(self, optimizer="rmsprop", loss=None, *, metrics=None, weighted_metrics=None, **options):
        """Configures the training.

        Args:
            optimizer: `keras.optimizers.Optimizer` or its name; for a method with several players a dict from their
                names to optimizers.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: see `keras.Model.compile`.

        Raises:
            ValueError: `loss` or `metrics` is given, or the optimizers are not those of the players.
        """
        for layer in self._flatten_layers():
            if getattr(layer, "stays_frozen", False):  # a teacher, see `teacher.copy`
                for variable in layer.weights:
                    variable.trainable = False
        batches.check_compile(self, loss=loss, metrics=metrics, weighted_metrics=weighted_metrics, **options)
        self.auto_scale_loss = options.get("auto_scale_loss", True)
        optimizer = playing(self, optimizer, options)
        super().compile(optimizer=optimizer, **options)

    def get_compile_config(self):
        config = super().get_compile_config()
        return config | {"auto_scale_loss": self.auto_scale_loss} if config else config  # Keras does not keep it

    def compile_from_config(self, config):
        # Keras leaves a loaded model uncompiled whose `compile` is its own.
        config = keras.saving.deserialize_keras_object(config)
        unused = ("loss", "loss_weights", "metrics", "weighted_metrics")
        self.compile(**{name: value for name, value in config.items() if name not in unused})
        self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, y=None, *args, **kwargs):
        kwargs = batches.fit_arguments(args, kwargs)
        batches.check_fit_arguments(self, x, y, kwargs)
        check_accumulation(self)
        if hasattr(x, "element_spec"):  # a tf.data pipeline shuffles itself; Keras warns unless told
            kwargs.setdefault("shuffle", False)
        self.given_steps, self.given_data = batches.given_steps(x, kwargs), inputs.fingerprint(x)
        self.given_order = batches.unsaved_order(x, kwargs)
        self.given_batches, self.given_epoch = batches.position(x)
        own = distribute.own_rows(batches.inspected(x, self), getattr(self, "distribute_strategy", None))
        try:
            return super().fit(own, y, **kwargs)
        finally:
            for callback in callbacks_of(kwargs.get("callbacks")):
                getattr(callback, "on_fit_end", lambda: None)()

    def predict(self, x, *args, **kwargs):
        return super().predict(batches.check_predicted(x, self), *args, **kwargs)

    def export(self, filepath, *args, **kwargs):
        """Exports the encoder that the paper evaluates, see `keras.Model.export`. `keras_ssl.export` does more."""
        return self.evaluated_encoder.export(filepath, *args, **kwargs)

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


def callbacks_of(given):
    """The callbacks of `fit`: it takes one, several or a `keras.callbacks.CallbackList`."""
    given = getattr(given, "callbacks", given)
    return given if isinstance(given, (list, tuple)) else [given]


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
            f"encoder '{encoder.name}' {'is of a class of its own' if encoder.built else 'is not built'}, so the size "
            "of its features is unknown. Give a Sequential an Input; wrap a subclassed model: images = "
            "keras.Input(shape); keras.Model(images, encoder(images))."
        )
    if not (isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[-1], int)):
        raise ValueError(
            f"encoder '{encoder.name}' must return features of shape (batch, dim). Received: output shape {shape}. "
            "Pool the map or the tokens first: keras_ssl.encoders.pool(backbone)."
        )
    inputs.check_no_top(encoder)
    check_rebuildable(encoder)
    return encoder


def check_augment(augment):
    if augment is not None and not isinstance(augment, keras.layers.Layer):
        raise ValueError(
            "augment must be a layer that returns views, for example keras_ssl.augment.simclr(32), or None. Received: "
            f"augment={augment!r}. A function belongs into the pipeline, as `dataset.map(function)`."
        )
    return augment


def check_arguments(cls, given):
    """Raises where an argument is not one of the method's, or out of its bounds."""
    known = [*arguments(cls), "name", "dtype"]
    for name in given:
        if name not in known:
            raise TypeError(f"{cls.__name__} has no argument '{name}'. It has: {', '.join(known)}.")
    bounds = {}
    for owner in reversed(cls.__mro__):
        bounds |= vars(owner).get("bounds", {})
    for name, value in given.items():
        if name in bounds:
            bounds[name](name, value)


def augmented(augment, data):
    """The views that a layer makes. One that is not ours gets the samples alone."""
    if not hasattr(augment, "own_seeds"):
        kind = inputs.kind_of(data) if isinstance(data, dict) else None
        data = kind.sample(data) if kind else data
    return augment(data, training=True)


def playing(method, optimizer, options):
    """What Keras compiles: the optimizer itself, or one of all players."""
    if not method.players:
        if isinstance(optimizer, dict):
            raise ValueError(
                f"{type(method).__name__} has no players, so it takes one optimizer. Received: a dict with "
                f"{sorted(optimizer)}"
            )
        return optimizer
    given = optimizer.of if isinstance(optimizer, Players) else optimizer
    if not isinstance(given, dict) or set(given) != set(method.players):
        raise ValueError(
            f"{type(method).__name__} has several players: compile it with optimizer={{player: optimizer}} for each of "
            f"{list(method.players)}. Received: {sorted(given) if isinstance(given, dict) else given!r}"
        )
    made = {name: keras.optimizers.get(given[name]) for name in method.players}
    if options.pop("auto_scale_loss", True) and method.dtype_policy.name == "mixed_float16":
        made = {name: scaled(one) for name, one in made.items()}
    options["auto_scale_loss"] = False
    groups = {name: method.weights_of(name) for name in method.players}
    check_groups(method, groups)
    players = Players(made)
    players.share_out(groups)
    return players


def scaled(optimizer):
    """The optimizer with the scaling of the loss that float16 needs."""
    kind = keras.optimizers.LossScaleOptimizer
    return optimizer if isinstance(optimizer, kind) else kind(optimizer)


def check_groups(method, groups):
    """Raises unless every trainable weight is that of one player."""
    owners = {}
    for name, weights in groups.items():
        for weight in weights:
            owners.setdefault(id(weight), []).append(name)
    for weight in method.trainable_variables:
        if len(owners.get(id(weight), ())) != 1:
            raise ValueError(
                f"Every trainable weight must belong to one player. Received: '{weight.path}' belongs to "
                f"{owners.get(id(weight), 'none')}. See `weights_of`."
            )


def check_accumulation(model):
    """Not in `compile`: the strategy may be another there."""
    replicas = getattr(getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1)
    steps = {optimizer.gradient_accumulation_steps for optimizer in step.optimizers_of(model)}
    if len(steps) > 1:
        raise ValueError(
            "All players must accumulate as many gradients, so that they move together. Received: "
            f"gradient_accumulation_steps={sorted(map(str, steps))}"
        )
    if steps != {None} and replicas > 1:
        raise ValueError(
            "Keras cannot accumulate gradients on several replicas of tf.distribute. Received: "
            f"gradient_accumulation_steps={steps.pop()} under {replicas} replicas. Leave it None, and use more "
            "replicas or mixed precision for a larger batch."
        )


def check_counts(method, views):
    """The number of views, and of the images in them."""
    least, most = method.view_counts
    if len(views) < least or most is not None and len(views) > most:
        wanted = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(
            f"{type(method).__name__} takes {wanted} view{'' if least == most == 1 else 's'} of each sample. Received: "
            f"{len(views)}, by augment={method.augment}. keras_ssl.augment.Views makes several of one layer."
        )
    shapes = [inputs.static_shape(keras.tree.flatten(view)[0]) for view in views]
    counts = [shape[0] for shape in shapes if shape and isinstance(shape[0], int)]
    if len(set(counts)) > 1:
        raise ValueError(
            f"All views must be of the same samples, in one order. Received: views of {counts} samples each."
        )
    rows = counts[0] if len(counts) == len(shapes) else None
    if isinstance(rows, int) and rows * distribute.replicas() < method.least_batch:
        raise ValueError(batches.too_few(method, rows * distribute.replicas()))
