"""Step: one training step of a method, in the form that each backend has for it.

A step is one turn, or several (see `Method.turns`). A turn computes the objective once, differentiates the loss of each
of its players by the weights of that player, and lets the players' optimizers move them. Then the method's hook runs.
"""

import keras
from keras import ops

from keras_ssl import distribute, inputs
from keras_ssl.players import Players


def tensorflow(method, batch):
    import tensorflow as tf

    outputs, stepped, losses = {}, True, {}
    for turn in method.turns:
        with tf.GradientTape(persistent=len(turn) > 1) as tape:
            found = method.play(batch, turn)
            scaled = [scale(method, player, method.local_loss(found, player)) for player in turn]
        moves = []
        for player, loss in zip(turn, scaled):
            weights = method.weights_of(player)
            gradients = tape.gradient(loss, weights)
            # embeddings have sparse gradients
            moves.append([g if g is None else tf.convert_to_tensor(g) for g in gradients])
        for player, gradients in zip(turn, all_or_none(method, moves)):
            optimizer, weights = optimizer_of(method, player), method.weights_of(player)
            before = tf.identity(optimizer.iterations)
            optimizer.apply(summed_and_clipped(gradients, optimizer), weights)
            stepped = tf.logical_and(stepped, optimizer.iterations > before)
        losses |= {player: method.loss_of(found, player) for player in turn}
        outputs |= found
    outputs["loss"] = losses.get(None, losses)
    if may_skip(method):  # a tf.cond may not hold the collectives of a hook that gathers: run it and take it back
        state = [(variable, tf.identity(variable.value)) for variable in method.non_trainable_variables]
        move_on(method, outputs)
        for variable, old in state:
            variable.assign(tf.where(stepped, variable.value, old))
    else:
        move_on(method, outputs)
    logs = method.log(outputs, inputs.rows(batch))
    if distribute.is_multi_worker(method.distribute_strategy):
        logs = {name: tf.reshape(value, (1,)) for name, value in logs.items()}  # Keras reduces them along axis 0
    return logs


def jax(method, state, batch):
    import jax as backend

    trainable, others, optimizer, metrics = map(list, state)
    outputs, stepped, losses = {}, True, {}
    for turn in method.turns:

        def compute(trainable, others, optimizer=optimizer, turn=turn):
            call = method.stateless_call(trainable, others, batch, training=True, turn=turn, return_losses=True)
            found, others, extra = call
            with scope(method, trainable, others, optimizer):
                scaled = [scale(method, player, method.local_loss(found, player, extra)) for player in turn]
            return scaled, (found, others)

        scaled, pull, (found, others) = backend.vjp(lambda weights: compute(weights, others), trainable, has_aux=True)
        moves = []
        for number, player in enumerate(turn):
            seed = [ops.ones_like(loss) if i == number else ops.zeros_like(loss) for i, loss in enumerate(scaled)]
            gradients = pull(seed)[0]
            moves.append([gradients[place] for place in places_of(method, player)])
        for player, own in zip(turn, all_or_none(method, moves)):
            before = iterations(method, player, trainable, others, optimizer)
            trainable, optimizer = applied(method, player, trainable, optimizer, own)
            stepped = ops.logical_and(stepped, iterations(method, player, trainable, others, optimizer) > before)
        losses |= {player: method.loss_of(found, player) for player in turn}
        outputs |= found
    outputs["loss"] = losses.get(None, losses)
    with scope(method, trainable, others, optimizer, metrics) as moved:
        move_on(method, outputs)
        logs = method.log(outputs, inputs.rows(batch))
    metrics = [current(moved, variable) for variable in method.metrics_variables]
    after = [current(moved, variable) for variable in method.non_trainable_variables]
    if may_skip(method):
        after = [ops.where(stepped, new, old) for new, old in zip(after, others)]
    return logs, (trainable, after, optimizer, metrics)


def torch(method, batch):
    import torch as backend

    outputs, stepped, losses = {}, True, {}
    for turn in method.turns:
        found = method.play(batch, turn)
        moves = []
        for number, player in enumerate(turn):
            method.zero_grad()
            scale(method, player, method.local_loss(found, player)).backward(retain_graph=number + 1 < len(turn))
            gradients = [weight.value.grad for weight in method.weights_of(player)]
            moves.append([g if g is None else g.clone() for g in gradients])
        with backend.no_grad():
            for player, gradients in zip(turn, all_or_none(method, moves)):
                optimizer = optimizer_of(method, player)
                before = int(optimizer.iterations)
                optimizer.apply(gradients, list(method.weights_of(player)))
                stepped = stepped and int(optimizer.iterations) > before
        found = keras.tree.map_structure(lambda x: x.detach() if hasattr(x, "detach") else x, found)
        losses |= {player: method.loss_of(found, player) for player in turn}
        outputs |= found
    outputs["loss"] = losses.get(None, losses)
    with backend.no_grad():
        if stepped:
            move_on(method, outputs)
        return method.log(outputs, inputs.rows(batch))


STEPS = {"tensorflow": tensorflow, "jax": jax, "torch": torch}


def move_on(method, outputs):
    """The hook of the method, and the number of the step."""
    method.after_step(outputs)
    method.step.assign(method.step + 1)


# The optimizer of a player; a method that has none has one player, None.


def optimizer_of(method, player):
    return method.optimizer if player is None else method.optimizer.of[player]


def optimizers_of(method):
    """All optimizers of a method, without the scaling of half precision around them."""
    return [getattr(optimizer, "inner_optimizer", optimizer) for optimizer in all_of(method)]


def all_of(method):
    made = method.optimizer
    return made.optimizers if isinstance(made, Players) else [made]


def scale(method, player, loss):
    """The loss, scaled for half precision."""
    return optimizer_of(method, player).scale_loss(loss)


def is_scaled(method):
    """Whether a loss is scaled, for half precision."""
    return any(isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in all_of(method))


def may_skip(method):
    """Whether there are steps in which an optimizer leaves the weights alone."""
    return is_scaled(method) or any(optimizer.gradient_accumulation_steps for optimizer in optimizers_of(method))


# An overflow of one player, and clipping and an overflow on several replicas


def all_or_none(method, moves):
    """The gradients of the players of a turn, a list for each: an overflow of one player is known to all.

    So all of them skip the turn, and none moves alone.
    """
    if len(moves) < 2 or not is_scaled(method):
        return moves
    overflow = overflow_of(gradient for gradients in moves for gradient in gradients)
    return [[g if g is None else g + overflow for g in gradients] for gradients in moves]


def overflow_of(gradients):
    """0 where all gradients are finite, else not a number: what it is added to is not finite either."""
    return sum(ops.sum(gradient * 0) for gradient in gradients if gradient is not None)


def summed_and_clipped(gradients, optimizer):
    """Gradients that the optimizer, which sums those of the replicas, then applies as one replica would.

    Keras clips the gradients of each replica, before their sum, and looks for an overflow on the first replica only.
    Here they are summed first. What is clipped as a whole is divided by the number of replicas: the optimizer finds
    nothing left to clip, and its own sum gives the whole again.
    """
    context = distribute.context()
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    clips = any(bound is not None for bound in (inner.clipnorm, inner.global_clipnorm, inner.clipvalue))
    if context is None or not (clips or inner is not optimizer):
        return gradients
    known = [number for number, gradient in enumerate(gradients) if gradient is not None]
    total = context.all_reduce("sum", [gradients[number] for number in known])
    overflow = overflow_of(total)
    if clips:
        factor = optimizer.dynamic_scale if inner is not optimizer else 1.0
        total = [gradient * factor for gradient in inner._clip_gradients([gradient / factor for gradient in total])]
    total = [(gradient + overflow) / distribute.replicas() for gradient in total]
    found = dict(zip(known, total))
    return [found.get(number) for number in range(len(gradients))]


# JAX: variables and their values


def scope(method, trainable, others, optimizer, metrics=()):
    pairs = [*zip(method.trainable_variables, trainable), *zip(method.non_trainable_variables, others)]
    pairs += [*zip(method.optimizer.variables, optimizer), *zip(method.metrics_variables, metrics)]
    return keras.StatelessScope(state_mapping=pairs)


def current(moved, variable):
    value = moved.get_current_value(variable)
    return variable.value if value is None else value


def iterations(method, player, trainable, others, optimizer):
    with scope(method, trainable, others, optimizer):
        return ops.convert_to_tensor(optimizer_of(method, player).iterations)


def places_of(method, player):
    """Where the weights of a player are among all trainable ones."""
    places = {id(variable): place for place, variable in enumerate(method.trainable_variables)}
    return [places[id(variable)] for variable in method.weights_of(player)]


def applied(method, player, trainable, state, gradients):
    """The weights and the state of all optimizers after one player's step."""
    if player is None:
        return map(list, method.optimizer.stateless_apply(state, gradients, trainable))
    optimizer, own = method.optimizer.of[player], places_of(method, player)
    begin = sum(len(one.variables) for one in method.optimizer.before(player))
    part = slice(begin, begin + len(optimizer.variables))
    moved, after = optimizer.stateless_apply(state[part], gradients, [trainable[i] for i in own])
    trainable, state = list(trainable), list(state)
    for place, value in zip(own, moved):
        trainable[place] = value
    state[part] = after
    return trainable, state
