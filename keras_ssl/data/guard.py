"""Guard: a sample that cannot be loaded ends the pass with an error that names it."""

import tensorflow as tf

from keras_ssl.data.order import calls, columns, flag


def guarded(order, samples, load, describe, *, spec, labels, index, parallel_calls):
    """Samples loaded one by one and in parallel, then batched.

    An error of a decoder does not say which sample it met. So errors are dropped, which a pipeline can do at no cost,
    and then seen from the gap in the places. One place more than needed makes a gap at the very end visible.

    Args:
        order: the `Order`.
        samples: dataset of (epoch, place, number, *anything), with one place more than are used.
        load: `load(number, *anything)` -> image (or a tuple of them, or a dict of columns), int label.
        describe: `describe(epoch, place)`, int64 scalars -> text of the error.
        spec: `tf.TensorSpec` of an image, or a tuple or dict of them.
        labels, index: whether to add these columns.

    Returns:
        `tf.data.Dataset` of batched dicts.
    """

    flag("index", index)

    def take(epoch, place, number, *anything):
        def real():
            image, label = load(number, *anything)
            return image, tf.cast(label, tf.int32)

        def behind_the_end():
            return tf.nest.map_structure(lambda one: tf.zeros(one.shape, one.dtype), spec), tf.constant(0)

        image, label = tf.cond(place < order.places, real, behind_the_end)
        image = tf.nest.map_structure(lambda one, tensor: tf.ensure_shape(tensor, one.shape), spec, image)
        return epoch, place, number, image, label

    def verify(rank, batch):
        epoch, place, number, image, label = batch
        first = order.skipped(epoch[0]) + rank * order.rows
        expected = first + tf.range(tf.size(place, tf.int64))
        fine = tf.equal(place, expected)

        def refuse():
            lost = expected[tf.argmin(tf.cast(fine, tf.int32))]
            return tf.ensure_shape(tf.numpy_function(fail, [epoch[0], lost], tf.bool), ())

        with tf.control_dependencies([tf.cond(tf.reduce_all(fine), lambda: True, refuse)]):
            if order.drop_remainder:
                number = tf.ensure_shape(number, (order.rows,))
                image = tf.nest.map_structure(
                    lambda one: tf.ensure_shape(one, (order.rows, *one.shape[1:])), image
                )
                label = tf.ensure_shape(label, (order.rows,))
            else:
                real = tf.minimum(order.places - first, order.rows)
                number, image, label = tf.nest.map_structure(lambda one: one[:real], (number, image, label))
        sample = image if isinstance(image, dict) else {"image": image}
        return columns(order, epoch[0], sample, number, label if labels else None, index)

    def fail(epoch, lost):
        raise ValueError(describe(tf.constant(epoch), tf.constant(lost)))

    dataset = samples.map(take, num_parallel_calls=calls(parallel_calls)).ignore_errors()
    dataset = dataset.batch(order.rows).enumerate()
    dataset = dataset.take_while(lambda rank, batch: order.skipped(batch[0][0]) + rank * order.rows < order.places)
    return dataset.map(verify)
