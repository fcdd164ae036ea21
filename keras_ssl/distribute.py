"""tf.distribute in a few functions, which are the identity where nothing is distributed.

Under `tf.distribute` every replica is a Python thread that sees its own slice of the batch. A method that
compares samples with each other (negatives, a queue, prototypes) must see the slices of all replicas, or it
trains well and wrong. On JAX under `keras.distribution` the step is compiled for the global batch, so there
is nothing to gather.

On several hosts (`tf.distribute.MultiWorkerMirroredStrategy`) every host runs the same script. The pipelines of
`keras_ssl.data` are written as on one host, with the global batch size: each host reads, decodes and augments its rows
of each global batch only, with the seeds and indices that they have there. The same holds on JAX for several processes
under `keras.distribution`.
"""

import keras
import numpy as np
from keras import ops


def strategy():
    """The current `tf.distribute` strategy where it has more than one replica, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    current = tf.distribute.get_strategy()
    return current if current.num_replicas_in_sync > 1 else None


def context():
    """The replica context, or None where nothing is distributed or the code runs outside of a replica."""
    if strategy() is None:
        return None
    import tensorflow as tf

    return tf.distribute.get_replica_context()


def check_strategy():
    """Raises a ValueError under a strategy that cannot train a method."""
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if isinstance(tf.distribute.get_strategy(), tf.distribute.ParameterServerStrategy):
        raise ValueError(
            "tf.distribute.ParameterServerStrategy cannot train a self-supervised method: its workers do not train in "
            "sync, so that there is no global batch, and `fit` of Keras 3 does not know it. Use "
            "tf.distribute.MultiWorkerMirroredStrategy."
        )


def check_scope(encoder, variable):
    """Raises where the encoder was not made in the scope of the strategy in which a variable of the method was made."""
    if keras.backend.backend() != "tensorflow" or not encoder.weights:
        return
    import tensorflow as tf

    shared, own = (isinstance(v.value, tf.distribute.DistributedValues) for v in (encoder.weights[0], variable))
    if shared != own:
        raise ValueError(
            f"The encoder '{encoder.name}' was made {'inside' if shared else 'outside'} of the scope of the "
            f"tf.distribute strategy, and the method {'outside' if shared else 'inside'}. Make the encoder, the method "
            "and the optimizer, and compile, in one `with strategy.scope():`."
        )


def is_multi_worker(strategy):
    """Whether several processes, mostly on several hosts, train together under this strategy, which may be None."""
    if strategy is None:
        return False
    import tensorflow as tf

    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy):
    """Whether this process writes what a run leaves behind: the first of several workers, or the only one.

    Args:
        strategy: the strategy of the model, `model.distribute_strategy`, or None.

    Example:
        >>> if keras_ssl.distribute.is_chief(strategy):
        ...     keras_ssl.export(model, "encoder.keras")
    """
    return not is_multi_worker(strategy) or strategy.extended.should_checkpoint


def of_all_workers(strategy, number):
    """What every worker says. All workers must call it; each waits for the others.

    Args:
        strategy: the strategy of the model, or None.
        number: int, what this worker says.

    Returns:
        list of ints, one a replica; `[number]` where there is one worker.
    """
    if not is_multi_worker(strategy):
        return [number]
    import tensorflow as tf

    def gathered():
        return tf.distribute.get_replica_context().all_gather(tf.constant([number], tf.int64), axis=0)

    return strategy.experimental_local_results(strategy.run(tf.function(gathered)))[0].numpy().tolist()


def worker(strategy):
    """The number of this process among those that train together, and how many they are: `(0, 1)` for one alone."""
    if not is_multi_worker(strategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    return int(resolver.task_id), len(resolver.cluster_spec().as_dict()["worker"])


def total_of_workers(strategy, array):
    """The sum of what every worker has, on each of them. All workers must call it; each waits for the others.

    Args:
        strategy: the strategy of the model, or None.
        array: NumPy array of the same shape and dtype on every worker.

    Returns:
        NumPy array of this shape and dtype; `array` itself where there is one worker.
    """
    if not is_multi_worker(strategy):
        return array
    import tensorflow as tf

    array = np.asarray(array)
    local = strategy.num_replicas_in_sync // worker(strategy)[1]

    def summed():
        replica = tf.distribute.get_replica_context()
        first = replica.replica_id_in_sync_group % local == 0  # one replica speaks for the worker
        return replica.all_reduce("sum", tf.where(first, array, np.zeros_like(array)))

    return strategy.experimental_local_results(strategy.run(tf.function(summed)))[0].numpy()


def inference(model):
    """What a model makes of a batch in inference mode, compiled, on this worker alone: arrays in, an array out."""
    if keras.backend.backend() != "tensorflow":
        return lambda inputs: model.predict_on_batch(inputs)
    import tensorflow as tf

    compiled = tf.function(lambda inputs: model(inputs, training=False))
    return lambda inputs: compiled(keras.tree.map_structure(tf.constant, inputs)).numpy()


def wait_for_workers(strategy):
    """Waits, at the end of a script, until all workers are there: one that leaves stops those that still train."""
    if not is_multi_worker(strategy):
        return
    import tensorflow as tf

    try:
        of_all_workers(strategy, 0)
    except tf.errors.UnavailableError:  # the others were here, and have left before they could say so
        pass


def own_rows(dataset, strategy=None):
    """What `fit` trains on, on one of several hosts: of a pipeline of `keras_ssl.data`, the rows of this host alone.

    Other data sets, and those on one host, are returned as they are: Keras shares them out after they were read.

    Args:
        dataset: what `fit` was called with.
        strategy: the strategy of the model, or None.

    Raises:
        ValueError: the batch size is no multiple of the number of replicas.
    """
    if not getattr(dataset, "can_share", False):
        return dataset
    if is_multi_worker(strategy):

        def own(context):
            hosts, replicas = context.num_input_pipelines, context.num_replicas_in_sync
            check_last_batch(dataset, replicas, 0 < dataset.order.used % dataset.order.batch_size < replicas)
            dataset.order.of_host(0, replicas)  # raises where the replicas cannot have equally many rows
            return for_replicas(dataset.share(context.input_pipeline_id, hosts), replicas // hosts)

        return strategy.distribute_datasets_from_function(own)
    if keras.backend.backend() == "jax" and keras.distribution.distribution() is not None:
        import jax
        from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter

        hosts, copies = jax.process_count(), getattr(keras.distribution.distribution(), "num_model_replicas", 1)
        if hosts > 1 and copies % hosts == 0:
            check_last_batch(dataset, copies, dataset.order.used % dataset.order.batch_size % copies)
            # an adapter, or Keras would share out this host's rows once more
            return TFDatasetAdapter(dataset.share(jax.process_index(), hosts))
    return dataset


def check_last_batch(dataset, replicas, wrong):
    if wrong:
        raise ValueError(
            f"The last batch of a pass has {dataset.order.used % dataset.order.batch_size} samples, which {replicas} "
            "replicas on several hosts cannot share. Make the pipeline with drop_remainder=True."
        )


def for_replicas(dataset, replicas):
    """The batches of a host, part after part, for each of its replicas."""
    if replicas == 1:
        return dataset
    import tensorflow as tf

    def parts(batch):
        rows = tf.nest.flatten(batch)[0].shape[0]
        if rows is None:  # the last one may be smaller: the first replicas get a row more

            def part(number):
                found = tf.shape(tf.nest.flatten(batch)[0])[0]
                each, more = found // replicas, found % replicas
                begin = number * each + tf.minimum(number, more)
                end = begin + each + tf.cast(number < more, tf.int32)
                return tf.nest.map_structure(lambda x: x[begin:end], batch)

            return tf.data.Dataset.range(replicas, output_type=tf.int32).map(part)
        if rows % replicas:
            raise ValueError(
                f"The samples of a batch of this host, {rows}, must be a multiple of its {replicas} replicas: change "
                "batch_size. Of labeled and unlabeled samples beside each other it is that of the labeled ones."
            )
        shaped = tf.nest.map_structure(lambda x: tf.reshape(x, (replicas, rows // replicas, *x.shape[1:])), batch)
        return tf.data.Dataset.from_tensor_slices(shaped)

    return tf.data.Dataset.flat_map(dataset, parts)


def replicas():
    """Number of replicas that train in sync: a Python int, 1 where nothing is distributed."""
    current = strategy()
    return 1 if current is None else current.num_replicas_in_sync


def replica():
    """Number of the replica that runs this code, from 0: an int, or an int32 scalar inside a compiled step."""
    current = context()
    return 0 if current is None else current.replica_id_in_sync_group


def gather(x, gradient=True):
    """The rows of all replicas, in the order of the replicas.

    Args:
        x: tensor `(local batch, ...)`, of a float or integer dtype.
        gradient: whether the gradient flows back to the rows of each replica (embeddings of the network that is
            trained) or is stopped (keys, targets, bank entries). The gradient of a row is the sum of the
            gradients of all replicas' losses.

    Returns:
        tensor `(global batch, ...)`; `x` itself where nothing is distributed.
    """
    if not gradient:
        x = ops.stop_gradient(x)
    current = context()
    if current is None:
        return x
    dtype = x.dtype
    # The CPU collectives have neither bfloat16 nor bool.
    other = {"bfloat16": "float32", "bool": "int32"}.get(keras.backend.standardize_dtype(dtype))
    rows = current.all_gather(ops.cast(x, other) if other else x, axis=0)
    if None not in x.shape[1:] and not is_eager():  # the static sizes are lost on the way
        rows = ops.reshape(rows, (-1 if x.shape[0] is None else x.shape[0] * replicas(), *x.shape[1:]))
    return ops.cast(rows, dtype) if other else rows


def is_eager():
    """Whether a replica runs operation by operation: it may then hold another number of rows than the others."""
    import tensorflow as tf

    return tf.executing_eagerly()


def first_row(rows):
    """Where the rows of this replica start among the gathered ones: an int, or an int32 scalar.

    Args:
        rows: the number of rows of this replica. Where it is known when the step is compiled, all replicas have as
            many; the last batch of an epoch may be uneven.
    """
    if context() is None:
        return 0
    if isinstance(rows, int) and not is_eager():
        return replica() * rows
    counts = gather(ops.reshape(ops.cast(rows, "int32"), (1,)), gradient=False)
    return ops.sum(ops.where(ops.arange(replicas(), dtype="int32") < replica(), counts, 0))


def local(x, rows):
    """The rows of this replica out of a gathered tensor; the inverse of `gather`.

    Args:
        x: tensor `(global batch, ...)`.
        rows: the number of rows of this replica.

    Returns:
        tensor `(rows, ...)`.
    """
    if context() is None:
        return x
    start = [ops.cast(first_row(rows), "int32")] + [0] * (len(x.shape) - 1)
    return ops.slice(x, start, (rows, *x.shape[1:]))


def total(x):
    """The sum of `x` over the replicas; `x` itself where nothing is distributed."""
    current = context()
    return x if current is None else current.all_reduce("sum", x)
