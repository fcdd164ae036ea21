"""Semi-supervised learning with SimCLR v2: many images, labels for 1 % or 10 % of them.

Big Self-Supervised Models are Strong Semi-Supervised Learners (Chen et al., 2020), https://arxiv.org/abs/2006.10029:

1. pretrain on all images without labels (`SimCLRv2`);
2. fine-tune on the few labels, from the encoder and the first layer of its projector (`model.classifier`), beside it
   from the encoder alone (its output is the paper's h);
3. distil: a student learns what the fine-tuned network says about all images (`SimCLRv2Distiller`).

Beside them stands the same network trained from scratch on the same labels.

    python examples/semi_supervised.py --quick                                    # scikit-learn's digits, 4 minutes
    python examples/semi_supervised.py --data cifar10/ --steps 5000 --distil-steps 2000
    python examples/semi_supervised.py --tfds cifar10 --images 50000 --width 64 --batch 512 --steps 50000

Expected: on ImageNet with a ResNet-50 the paper has 57.9 % with 1 % and 68.4 % with 10 % of the labels after
fine-tuning, 73.9 % and 77.5 % after distilling a larger teacher (supervised: 25.4 % and 56.4 %). The first layer of
the projector is ahead of h where labels are few.

Got with --quick on one CPU core in 4 minutes: with 1 % of the labels (12) 58.0 % from scratch, 77.2 % fine-tuned from
h, 79.6 % from the first layer of the projector, 81.4 % distilled; with 10 % of them 94.0, 97.2, 96.8 and 97.8 %. It is
one draw of the labels: two points between two ways of fine-tuning may be chance.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from labeled_images import add_arguments, load  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import data, encoders, optimizers  # noqa: E402

STEPS = {"steps": (5000, 400), "tune_steps": (600, 100), "distil_steps": (2000, 200)}  # in full, and with --quick


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--quick", action="store_true", help="a run of minutes: fewer steps of everything")
    parser.add_argument("--steps", type=int, default=None, help="of pretraining")
    parser.add_argument("--tune-steps", type=int, default=None, help="of fine-tuning; from scratch: twice as many")
    parser.add_argument("--distil-steps", type=int, default=None)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1], help="shares of images with a label")
    parser.add_argument("--layer", type=int, default=1, help="layers of the projector that fine-tuning keeps, beside 0")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--width", type=int, default=16, help="base width of the ResNet-18; the full size is 64")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/semi_supervised"))
    options = parser.parse_args()
    for name, (full, quick) in STEPS.items():
        setattr(options, name, getattr(options, name) or (quick if options.quick else full))
    options.out.mkdir(parents=True, exist_ok=True)
    begin = time.time()

    images = load(options)
    print(f"{len(images.train[0]):,} images to train, {len(images.test[0]):,} to test, {len(images.classes)} classes")
    pretrained = pretrain(options, images)
    scores = {}
    for share in options.shares:
        few = labeled(images, share)
        print(f"\n{share:.0%}: {len(few[0])} labels")
        scratch = keras_ssl.SimCLRv2(encoder(options, images)).classifier(len(images.classes), layer=0)
        tune(scratch, few, options, images, steps=2 * options.tune_steps)
        from_h, tuned = (pretrained.classifier(len(images.classes), layer=layer) for layer in (0, options.layer))
        tune(from_h, few, options, images, steps=options.tune_steps)
        tune(tuned, few, options, images, steps=options.tune_steps)
        student = distil(pretrained, tuned, options, images)
        networks = {"supervised": scratch, "fine-tuned from h": from_h, "fine-tuned": tuned, "distilled": student}
        scores[f"{share:.0%}"] = {name: accuracy(network, images.test) for name, network in networks.items()}
        student.save(options.out / f"classifier-{share:.0%}.keras")

    print(f"\n{'labels':20}" + "".join(f"{share:>10}" for share in scores))
    for name in networks:
        print(f"{name:20}" + "".join(f"{row[name]:10.1%}" for row in scores.values()))
    seconds = time.time() - begin
    (options.out / "scores.json").write_text(json.dumps({"scores": scores, "seconds": seconds}, indent=1))
    print(f"\n{seconds:.0f} s. The distilled networks: {options.out}/classifier-*.keras")


def pretrain(options, images):
    # Temperature and rate are for runs of minutes to hours; the paper has 0.1 and LARS for 800 epochs.
    model = keras_ssl.SimCLRv2(encoder(options, images), images.strong, temperature=0.2)
    model.compile(optimizer=optimizer(0.1, options.steps, weight_decay=5e-4))
    print(f"\nPretraining, {options.steps} steps")
    fit(model, data.arrays(images.train[0], options.batch, seed=options.seed), options.steps)
    return model


def tune(classifier, few, options, images, steps):
    """Crops only, no weight decay and no warm-up, as in the paper."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(optimizer=optimizer(0.05, steps, warmup=0), loss=loss)
    pipeline = data.arrays(few[0], min(options.batch, len(few[0])), labels=few[1], seed=options.seed)
    views = data.views(pipeline, images.weak, jit_compile=False)
    fit(classifier, views.map(lambda batch: (batch["views"][0], batch["label"])), steps)


def distil(pretrained, tuned, options, images):
    """Self-distillation, with the paper's temperature for it; the student starts from the pretrained network."""
    student = pretrained.classifier(len(images.classes), layer=options.layer)
    model = keras_ssl.SimCLRv2Distiller(student, images.weak, teacher=tuned, temperature=0.1)
    model.compile(optimizer=optimizer(0.05, options.distil_steps))
    fit(model, data.arrays(images.train[0], options.batch, seed=options.seed), options.distil_steps)
    return student


def fit(model, batches, steps):
    """Some steps on a pipeline, however often that goes through its images."""
    model.fit(batches.repeat().take(steps), shuffle=False, verbose=2)


def optimizer(rate, steps, warmup=None, weight_decay=0.0):
    warmup = steps // 20 if warmup is None else warmup
    rate = optimizers.warmup_cosine(rate, steps, warmup=warmup)
    return optimizers.SGD(rate, momentum=0.9, weight_decay=weight_decay)


def labeled(images, share):
    """The images with a label: the same number of each class, at least one."""
    count = max(len(images.classes), math.floor(share * len(images.train[0])))
    chosen = data.class_balanced(images.train[1], count)
    return images.train[0][chosen], images.train[1][chosen]


def accuracy(classifier, test):
    logits = classifier.predict(test[0], batch_size=256, verbose=0)
    return float(np.mean(np.argmax(logits, axis=1) == test[1]))


def encoder(options, images):
    keras.utils.set_random_seed(options.seed)
    return encoders.resnet18(images.train[0].shape[1:], width=options.width)


if __name__ == "__main__":
    main()
