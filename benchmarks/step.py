"""Step: what a method costs beside the bare encoder on the same views.

    python benchmarks/step.py

For every method two compiled steps are timed in turns, in one process, on the same batch: the method's own `train_step`
(heads, loss, teacher, queue, optimizer; the views are made before), and the bare encoder: as many forward and backward
passes as the method makes with a gradient, as many forward passes as its teacher makes without, and the same optimizer.
The median of the rounds' ratios, minus 1, is the method's own share.

Sizes are those of the papers for small images. Most train a ResNet-18, MSN a small ViT. CMC has an encoder for
lightness and one for colour, CLIP one for texts: they are part of the bare encoder.
"""

import argparse
import os
import time
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import encoders  # noqa: E402

SIZE, SMALL, IMAGES = 32, 16, 50_000  # sides of views and local views, images of a bank


class Case(NamedTuple):
    """A method's arguments, and the calls of the encoder, each with so many views of a size: (count, size)."""

    arguments: dict
    trained: tuple = ((2, SIZE),)  # with a gradient
    frozen: tuple = ()  # the teacher's, without
    views: tuple = (SIZE, SIZE)


ONE, EACH = ((1, SIZE),), ((1, SIZE), (1, SIZE))
MOCO = {"hidden": 512, "queue_size": 4096}
CROPS = {"trained": ((2, SIZE), (4, SMALL)), "views": (SIZE, SIZE, *4 * (SMALL,))}
BANK = {"samples": IMAGES, "negatives": 4096}
METHODS = {
    "SimCLR": Case({}),
    "SimCLRv2": Case({}),
    "MoCoV1": Case({"queue_size": 4096}, ONE, ONE),
    "MoCoV2": Case(MOCO, ONE, ONE),
    "MoCoV3": Case({"hidden": 1024}, EACH, EACH),
    "SupCon": Case({}),
    "DecoupledContrastive": Case({}),
    "DebiasedContrastive": Case({}),
    "HardNegativeContrastive": Case({}),
    "FlatNCE": Case({}),
    "AlignUniform": Case({}),
    "InvaSpread": Case({}),
    "InstDisc": Case(BANK, ONE, views=(SIZE,)),
    "PIRL": Case(BANK, ((1, SIZE), (9, 8)), views=(SIZE, (9, 8, 8, 3))),
    "CMC": Case(BANK, views=()),
    "CLIP": Case({"dim": 128}, ONE, views=(SIZE,)),
    "NNCLR": Case({"projector_hidden": 1024, "hidden": 1024, "queue_size": 16384}, EACH),
    "PCL": Case(MOCO | {"samples": IMAGES, "clusters": (1000, 2000, 4000)}, ONE, ONE),
    "MoCHi": Case(MOCO | {"hardest": 256, "mixtures": 128, "query_mixtures": 32}, ONE, ONE),
    "IMix": Case({}),
    "IMixMoCo": Case(MOCO, ONE, ONE),
    "SwAV": Case({"hidden": 1024, "prototype_count": 512, "queue_size": 3840}, **CROPS),
    "BYOL": Case({"hidden": 1024}, EACH, EACH),
    "IMixBYOL": Case({"hidden": 1024}, EACH, EACH),
    "SimSiam": Case({"hidden": 1024, "dim": 1024, "depth": 2, "predictor_hidden": 256}, EACH),
    "DINO": Case({"hidden": 1024, "dim": 4096}, frozen=((2, SIZE),), **CROPS),
    "MSN": Case(
        {"hidden": 1024, "prototype_count": 256, "drop": 0.0}, ((1, SIZE), (4, SMALL)), ONE, CROPS["views"]
    ),
    "BarlowTwins": Case({"hidden": 1024, "dim": 1024}, EACH),
    "VICReg": Case({"hidden": 1024, "dim": 1024}, EACH),
    "WMSE": Case({"dim": 32, "sub_batch": 64}, EACH),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=32, help="base width of the ResNet-18; tokens of 6 times as many")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    options = parser.parse_args()
    print(f"ResNet-18, width {options.width}, {SIZE} pixels, batch {options.batch}, {options.rounds} rounds")
    print("| | method, s | bare, s | own share (quartiles) |\n|---|---|---|---|")
    for name in options.methods:
        method, bare = steps(name, options)
        times = np.array([(clock(method), clock(bare)) for _ in range(options.rounds + 2)])[2:]
        share = times[:, 0] / times[:, 1] - 1
        low, middle, high = np.percentile(share, [25, 50, 75])
        print(f"| {name} | {np.median(times[:, 0]):.3f} | {np.median(times[:, 1]):.3f} |", end="")
        print(f" {100 * middle:.1f} % ({100 * low:.1f} to {100 * high:.1f}) |", flush=True)
        keras.backend.clear_session()


def steps(name, options):
    case, make = METHODS[name], encoder_of(name, options.width)
    arguments, batch = dict(case.arguments), options.batch
    data = {"views": [pixels(batch, shape) for shape in case.views], **columns(batch)}
    encoder = make()
    if name == "CMC":
        encoder, colour = make(1), make(2)
        data["views"] = [pixels(batch, (SIZE, SIZE, channels)) for channels in (1, 2)]
        model = keras_ssl.CMC([encoder, colour], **arguments)
    elif name == "CLIP":
        model = keras_ssl.CLIP(encoder, text_encoder=texts(), **arguments)
    else:
        model = getattr(keras_ssl, name)(encoder, **arguments)
    model.compile(optimizer=keras.optimizers.SGD(1e-3, momentum=0.9))
    model.optimizer.build(model.trainable_variables)
    method = tf.function(lambda: model.train_step((data,)))

    trained = {"CMC": lambda: [make(1), make(2)], "CLIP": lambda: [make(), texts()]}.get(name, lambda: [make()])()
    teacher = make() if case.frozen else None
    weights = [weight for network in trained for weight in network.trainable_variables]
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
    optimizer.build(weights)

    def of_calls(network, calls):
        inputs = [tf.concat([pixels(batch, size)] * count, 0) for count, size in calls]
        return lambda: [network(images, training=True) for images in inputs]

    if name in ("CMC", "CLIP"):
        inputs = data["views"] if name == "CMC" else [data["views"][0], data["text"]]
        forward = lambda: [network(x, training=True) for network, x in zip(trained, inputs)]  # noqa: E731
    else:
        forward = of_calls(trained[0], case.trained)
    others = of_calls(teacher, case.frozen) if teacher else list

    @tf.function
    def bare():
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_mean(tf.square(features)) for features in forward())
        targets = [tf.reduce_mean(features) for features in others()]
        optimizer.apply([tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)], weights)
        return loss, targets

    return method, bare


def encoder_of(name, width):
    """A function that makes the encoder, for images of so many channels."""
    if name == "MSN":
        options = {"patch": 4, "width": 6 * width, "depth": 4, "heads": 3, "grid": SIZE // 4}
        return lambda: encoders.vit((None, None, 3), **options)
    several = len({size for _, size in METHODS[name].trained}) > 1
    size = None if several else SIZE
    return lambda channels=3: encoders.resnet18((size, size, channels), width=width, stem="cifar")


def texts():
    return encoders.text_transformer(vocabulary=258, length=24, width=64, depth=2, heads=4)


def pixels(batch, shape):
    shape = (shape, shape, 3) if isinstance(shape, int) else shape
    return tf.random.uniform((batch, *shape), 0, 255)


def columns(batch):
    number = tf.range(batch, dtype=tf.int32)
    return {"index": number, "label": number % 10, "text": tf.random.uniform((batch, 24), 0, 256, tf.int32)}


def clock(step):
    start = time.perf_counter()
    keras.tree.map_structure(lambda x: x.numpy(), step())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
