"""Players: several optimizers as one, each for the weights of its own player."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_ssl")
class Players(keras.optimizers.Optimizer):
    """The optimizers of a method with several players, such as a generator and a discriminator.

    `compile(optimizer={"generator": ..., "discriminator": ...})` makes it. To Keras, to checkpoints and to saved files
    it is one optimizer that holds the variables of all.

    Args:
        optimizers: dict from the name of a player to its `keras.optimizers.Optimizer`.
        name: str.

    Attributes:
        of: that dict, for example to read or change a learning rate:
            `model.optimizer.of["generator"].learning_rate`.
    """

    def __init__(self, optimizers, name="players"):
        super().__init__(learning_rate=0.0, name=name)
        self.of = dict(optimizers)
        self.groups = None

    @property
    def optimizers(self):
        """Those of all players, as a list: Keras's callbacks ask for it."""
        return list(self.of.values())

    def share_out(self, groups):
        """Says which weights each player moves: a dict from its name to a list of variables."""
        self.groups = {name: list(groups[name]) for name in self.of}

    def build(self, variables):
        if self.built:
            return
        if self.groups is None:
            raise ValueError("The players have no weights yet: compile a keras_ssl.Method with this optimizer.")
        for name, optimizer in self.of.items():
            optimizer.build(self.groups[name])
        self._trainable_variables = list(variables)
        self.built = True

    def before(self, name):
        """The optimizers whose variables come before those of this player."""
        names = list(self.of)
        return [self.of[other] for other in names[: names.index(name)]]

    @property
    def variables(self):
        return [variable for optimizer in self.of.values() for variable in optimizer.variables]

    @property
    def iterations(self):
        """The steps made by the player who made fewest."""
        counts = [ops.convert_to_tensor(optimizer.iterations) for optimizer in self.of.values()]
        return ops.min(ops.stack([ops.cast(count, "int32") for count in counts]))

    @property
    def learning_rate(self):
        raise AttributeError(self.several())

    @learning_rate.setter
    def learning_rate(self, value):
        raise AttributeError(self.several())

    def several(self):
        return (
            "Several players have several learning rates: model.optimizer.of[player].learning_rate, with player one of "
            f"{list(self.of)}."
        )

    def finalize_variable_values(self, variables):
        for name, optimizer in self.of.items():
            optimizer.finalize_variable_values(self.groups[name])

    def get_config(self):
        made = {name: keras.saving.serialize_keras_object(one) for name, one in self.of.items()}
        return {"name": self.name, "optimizers": made}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        made = config["optimizers"].items()
        found = {name: keras.saving.deserialize_keras_object(one, custom_objects) for name, one in made}
        return cls(found, config["name"])
