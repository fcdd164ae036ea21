"""Augment: two SimCLR views per second, beside what a user would take instead, and beside what the machine allows.

    python benchmarks/augment.py --photos photos/ --peer-python peer/bin/python --json augment.json

Contenders of a part are measured in turns, in one run, never two at the same moment; what counts is the median of the
rounds' ratios, with quartiles. Parts (`--only`):

- views: host pipelines from uint8 arrays in memory. 32 pixels, batch 256, jitter of half the strength, no blur; 224
  pixels from 256, batch 32, full jitter, without and with blur (p 0.5, 23 taps). Ours is `data.views`; against it stand
  keras-cv's layers on batches and on single images, `tf.image`, and lightly's SimCLRTransform in a DataLoader.
- compiled: our layer in a `tf.function` on the whole batch, as in the model, without and with XLA.
- files: JPEG photographs (`--photos`, a folder or a tar of one) to two views of 224 pixels.
- fit: SimCLR with a ResNet-18 of width 16 at 32 pixels, batch 256: the milliseconds of a step with the augmentation in
  the model, in the pipeline, and with views that are made before.
- limit: a measured copy rate and a measured rate of multiply-adds, and the images per second that they would allow.

All policies are SimCLR's. Where libraries differ, each stays as it is: keras-cv jitters in one order, adds the
brightness and does not antialias a crop that shrinks, as tf.image does not unless told; lightly blurs by boxes. What
only a peer would do is left out (lightly's normalization). Every contender gets as many parallel calls or loader
workers as there are cores (`--cores`).

lightly runs in a Python of its own (`--peer-python`), with torch, torchvision, lightly and numpy. About 40 minutes on
2 cores with all parts and the default 7 rounds of 5 seconds. The machine should have nothing else to do.
"""

import argparse
import dataclasses
import gc
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Policy:
    """Two SimCLR views (arXiv:2002.05709) of one setting."""

    name: str
    size: int  # the side of the views, pixels
    source: int  # the side of the images in memory
    batch: int
    strength: float  # the paper's s
    blur_p: float

    crop_area = (0.08, 1.0)
    crop_ratio = (3 / 4, 4 / 3)
    jitter_p = 0.8
    grayscale_p = 0.2
    sigma = (0.1, 2.0)

    @property
    def jitter(self):
        return [self.strength * amount for amount in (0.8, 0.8, 0.8, 0.2)]

    @property
    def kernel(self):
        return max(3, self.size // 10) // 2 * 2 + 1

    def layer(self):
        return augment.simclr(self.size, strength=self.strength, blur_p=self.blur_p)


POLICIES = [
    Policy("32", size=32, source=32, batch=256, strength=0.5, blur_p=0.0),
    Policy("224", size=224, source=256, batch=32, strength=1.0, blur_p=0.0),
    Policy("224 with blur", size=224, source=256, batch=32, strength=1.0, blur_p=0.5),
]
PARTS = ("views", "compiled", "files", "fit", "limit")
SOURCE_BYTES = 64 * 2**20  # of the images in memory: more than the caches hold
LINKS = "links"
FILES = 4096  # of a pass, so long that its start and end do not count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, choices=(32, 224), help="the parts with views of this size only")
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS, metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="ours and those with these words in their name")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement, after its warm-up")
    parser.add_argument("--cores", type=int, help="CPU cores to use, at most (default: all)")
    parser.add_argument("--photos", type=Path, help="folder, or tar of one, with JPEG photographs")
    parser.add_argument("--peer-python", help="the Python of an environment with torch, torchvision and lightly")
    parser.add_argument("--peer-path", help="folder to import from in the peer's Python")
    parser.add_argument("--peer-import", nargs="*", default=[], metavar="MODULE", help="what the peer imports first")
    parser.add_argument("--json", type=Path, help="file for all numbers of all rounds")
    options = parser.parse_args()
    cores = limit_cores(options.cores)
    tf.get_logger().setLevel("ERROR")  # keras-cv's crop warns of each operation that it has to loop over
    keras.utils.set_random_seed(0)

    report = Report(options, cores)
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(options, cores, Path(folder)) if options.peer_python else None
        try:
            for part in PARTS:
                if part in options.only:
                    globals()[f"part_{part}"](options, cores, report, peer, Path(folder))
        finally:
            if peer is not None:
                peer.close()


def part_views(options, cores, report, peer, folder):
    for policy in chosen(options):
        images = noise(policy)
        contenders = {
            "ours, data.views": Pipeline(ours(images, policy, cores), policy),
            "keras-cv, batches": Pipeline(keras_cv_batches(slices(images), policy, cores), policy),
            "keras-cv, single images": Pipeline(keras_cv_images(slices(images), policy, cores), policy),
            "tf.image": Pipeline(tf_image(slices(images), policy, cores), policy),
        }
        if peer is not None:
            contenders["lightly"] = peer.arrays(images, policy)
        title = f"views, {policy.name}: {policy.size} pixels from {policy.source}, batch {policy.batch}"
        report.rates(title, contenders, options)


def part_compiled(options, cores, report, peer, folder):
    for policy in chosen(options):
        images = noise(policy)
        contenders = {
            "ours, data.views": Pipeline(ours(images, policy, cores), policy),
            "ours, tf.function": Compiled(images, policy, jit_compile=False),
            "ours, tf.function with XLA": Compiled(images, policy, jit_compile=True),
        }
        place = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        report.rates(f"compiled, {policy.name}: the whole batch of {policy.batch}, {place}", contenders, options)


def part_files(options, cores, report, peer, folder):
    if options.size == 32:
        return
    if options.photos is None:
        print("\nfiles: left out, as there are no --photos")
        return
    policy = POLICIES[-1]
    paths = links(options.photos, folder)
    whole = data.files(paths, policy.source, policy.batch, upscale=True, parallel_calls=cores)
    decoded = tf.data.Dataset.from_tensor_slices(paths).shuffle(FILES).repeat()
    cropped = data.image_folder_views(folder / LINKS, policy.layer(), policy.batch, parallel_calls=cores)
    resized = decoded.map(lambda path: decode_whole(path, policy), cores)
    contenders = {
        "ours, decode and crop": Pipeline(cropped.repeat(), policy),
        f"ours, whole, resized to {policy.source}": Pipeline(
            data.views(whole.repeat(), policy.layer(), parallel_calls=cores), policy
        ),
        f"keras-cv, whole, resized to {policy.source}": Pipeline(keras_cv_images(resized, policy, cores), policy),
        "tf.image, decode and crop": Pipeline(tf_image_files(decoded, policy, cores), policy),
        "tf.image, decode and crop, antialias": Pipeline(tf_image_files(decoded, policy, cores, True), policy),
    }
    if peer is not None:
        contenders["lightly"] = peer.files(paths, policy)
    title = f"files: {len(set(map(os.path.realpath, paths)))} JPEG photographs, {policy.size} pixels, with blur"
    report.rates(title, contenders, options)


def part_fit(options, cores, report, peer, folder):
    if options.size == 224:
        return
    policy = POLICIES[0]
    images = noise(policy)
    batches = data.arrays(images, policy.batch, parallel_calls=cores).repeat()
    made = next(iter(data.views(batches, policy.layer())))["views"]
    contenders = {
        "none, fixed views": Fit(None, tf.data.Dataset.from_tensors({"views": made}).repeat(), policy),
        "in the pipeline": Fit(None, ours(images, policy, cores), policy),
        "in the model": Fit(policy.layer(), batches, policy),
    }
    title = f"fit: SimCLR, ResNet-18 of width 16, {policy.size} pixels, batch {policy.batch}"
    report.steps(title, contenders, options)


def part_limit(options, cores, report, peer, folder):
    for policy in chosen(options):
        images = noise(policy)
        pipeline = ours(images, policy, cores)
        contenders = {
            "bytes copied (read + written)": Copy(cores),
            "multiply-adds (matrix product)": MultiplyAdd(),
            "ours": Pipeline(pipeline, policy),
        }
        kinds = pipeline.element_spec["views"]
        moved = policy.source**2 * 3 + sum(int(np.prod(kind.shape[1:])) * kind.dtype.size for kind in kinds)
        report.limit(f"limit, {policy.name}", contenders, options, moved, multiply_adds(policy))


# The contenders' pipelines: two views of a batch, as a tf.data pipeline of dicts with "views" that never ends.


def ours(images, policy, cores):
    batches = data.arrays(images, policy.batch, parallel_calls=cores).repeat()
    return data.views(batches, policy.layer(), parallel_calls=cores)


def slices(images):
    with tf.device("CPU:0"):
        return tf.data.Dataset.from_tensor_slices(images).shuffle(1024).repeat()


def keras_cv_batches(images, policy, cores):
    """keras-cv as its users write it: the layers on batches, RandomApply around what not every image gets."""
    from keras_cv.layers import RandomApply

    view = keras_cv_view(policy, lambda p, layer: RandomApply(layer, rate=p))
    batches = images.batch(policy.batch).map(lambda batch: {"views": (view(batch), view(batch))}, cores)
    return batches.prefetch(tf.data.AUTOTUNE)


def keras_cv_images(images, policy, cores):
    """The fastest way found to use the same layers: on single images, with `tf.cond` in place of RandomApply."""
    view = keras_cv_view(policy, lambda p, layer: lambda image: sometimes(p, layer, image))

    def views(image):
        return {"views": tuple(tf.ensure_shape(view(image), (policy.size, policy.size, 3)) for _ in range(2))}

    return images.map(views, cores).batch(policy.batch).prefetch(tf.data.AUTOTUNE)


def keras_cv_view(policy, apply):
    """SimCLR's view in keras-cv's layers; `apply(p, layer)` changes an image with the probability p."""
    from keras_cv import layers

    brightness, contrast, saturation, hue = policy.jitter
    jitter = layers.RandomColorJitter(
        value_range=(0, 255),
        brightness_factor=brightness,
        contrast_factor=contrast,
        # f stands for a factor of f / (1 - f)
        saturation_factor=((1 - saturation) / (2 - saturation), (1 + saturation) / (2 + saturation)),
        hue_factor=2 * hue,  # in half turns
    )
    steps = [
        layers.RandomCropAndResize((policy.size, policy.size), policy.crop_area, policy.crop_ratio),
        layers.RandomFlip("horizontal"),
        apply(policy.jitter_p, jitter),
        apply(policy.grayscale_p, layers.Grayscale(output_channels=3)),
    ]
    if policy.blur_p:
        steps.append(apply(policy.blur_p, layers.RandomGaussianBlur(policy.kernel, policy.sigma)))

    def view(images):
        images = tf.cast(images, tf.float32)
        for step in steps:
            images = step(images)
        return images

    return view


def tf_image(images, policy, cores):
    made = images.map(lambda image: {"views": tuple(tf_image_view(image, policy) for _ in range(2))}, cores)
    return made.batch(policy.batch).prefetch(tf.data.AUTOTUNE)


def tf_image_view(image, policy):
    """SimCLR's view of one image `(h, w, 3)` in `tf.image`, as SimCLR's own TensorFlow code makes it."""
    begin, extent = tf_image_box(tf.shape(image), policy)
    return tf_image_resized(tf.slice(image, begin, extent), policy)


def tf_image_files(paths, policy, cores, antialias=False):
    def views(path):
        content = tf.io.read_file(path)
        shape = tf.io.extract_jpeg_shape(content)
        return {"views": tuple(view(content, shape) for _ in range(2))}

    def view(content, shape):
        begin, extent = tf_image_box(shape, policy)
        window = tf.concat([begin[:2], extent[:2]], 0)
        return tf_image_resized(tf.io.decode_and_crop_jpeg(content, window, channels=3), policy, antialias)

    return paths.map(views, cores).batch(policy.batch).prefetch(tf.data.AUTOTUNE)


def tf_image_box(shape, policy):
    begin, extent, _ = tf.image.sample_distorted_bounding_box(
        shape,
        tf.zeros((1, 0, 4)),
        min_object_covered=0.0,
        aspect_ratio_range=policy.crop_ratio,
        area_range=policy.crop_area,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return begin, tf.where(extent < 0, shape, extent)  # -1: all channels


def tf_image_resized(image, policy, antialias=False):
    """What comes behind the box."""
    image = tf.image.resize(image, (policy.size, policy.size), antialias=antialias)
    image = tf.ensure_shape(tf.image.random_flip_left_right(image), (policy.size, policy.size, 3))
    image = sometimes(policy.jitter_p, lambda image: tf_image_jitter(image, policy), image)
    image = sometimes(
        policy.grayscale_p, lambda image: tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image)), image
    )
    return sometimes(policy.blur_p, lambda image: tf_image_blur(image, policy), image) if policy.blur_p else image


def tf_image_jitter(image, policy):
    brightness, contrast, saturation, hue = policy.jitter

    def factor(strength):
        return tf.random.uniform((), 1 - strength, 1 + strength)

    operations = [
        lambda image: image * factor(brightness),
        lambda image: tf.image.adjust_contrast(image, factor(contrast)),
        lambda image: tf.image.adjust_saturation(image, factor(saturation)),
        lambda image: tf.image.adjust_hue(image, tf.random.uniform((), -hue, hue)),
    ]
    order = tf.random.shuffle(tf.range(4))
    for place in range(4):
        branches = [lambda image=image, operation=operation: operation(image) for operation in operations]
        image = tf.clip_by_value(tf.switch_case(order[place], branches), 0, 255)
    return image


def tf_image_blur(image, policy):
    sigma = tf.random.uniform((), *policy.sigma)
    distance = tf.range(-(policy.kernel // 2), policy.kernel // 2 + 1, dtype=tf.float32)
    weights = tf.exp(-0.5 * (distance / sigma) ** 2)
    weights = tf.tile((weights / tf.reduce_sum(weights))[:, None, None, None], (1, 1, 3, 1))
    blurred = image[None]
    for kernel in (weights, tf.transpose(weights, (1, 0, 2, 3))):
        blurred = tf.nn.depthwise_conv2d(blurred, kernel, (1, 1, 1, 1), "SAME")
    return blurred[0]


def sometimes(p, change, image):
    return tf.cond(tf.random.uniform(()) < p, lambda: change(image), lambda: image)


def decode_whole(path, policy):
    """The middle of a photograph whose short side is resized to the policy's source size."""
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    shape = tf.cast(tf.round(shape * (policy.source / tf.reduce_min(shape))), tf.int32)
    return tf.image.resize_with_crop_or_pad(tf.image.resize(image, shape), policy.source, policy.source)


# What is measured: objects with measure(seconds) -> a rate. Each works for nobody else while another one is measured.


class Pipeline:
    """Images per second out of a tf.data pipeline."""

    def __init__(self, dataset, policy):
        self.dataset, self.policy = dataset, policy

    def measure(self, seconds):
        step = iter(self.dataset).__next__
        rate = pace(step, seconds) * self.policy.batch
        del step  # a pipeline goes on filling its buffers as long as its iterator lives
        gc.collect()
        time.sleep(0.2)
        return rate


class Compiled:
    """Images per second out of a compiled call of our layer on one batch."""

    def __init__(self, images, policy, jit_compile):
        layer, self.policy = policy.layer(), policy
        batch = next(iter(data.arrays(images, policy.batch)))
        self.batch = {name: tf.identity(batch[name]) for name in ("image", "seed")}
        self.call = tf.function(lambda batch: layer(batch), jit_compile=jit_compile)

    def measure(self, seconds):
        def step():
            for view in self.call(self.batch):
                view[0, 0, 0, 0].numpy()  # waits for the device

        return pace(step, seconds) * self.policy.batch


class Fit:
    """Steps per second of `fit`."""

    def __init__(self, layer, batches, policy):
        keras.utils.set_random_seed(0)
        self.batches = batches
        self.model = keras_ssl.SimCLR(encoders.resnet18((policy.size, policy.size, 3), width=16), layer)
        self.model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9))
        self.rate = None

    def measure(self, seconds):
        steps = 4 if self.rate is None else max(4, round(seconds * self.rate))
        clock = Clock(skip=2)
        self.model.fit(self.batches, steps_per_epoch=steps + clock.skip, callbacks=[clock], verbose=0)
        gc.collect()
        time.sleep(0.2)
        self.rate = steps / (clock.stop - clock.start)
        return self.rate


class Clock(keras.callbacks.Callback):
    """The time of all steps but the first ones."""

    def __init__(self, skip):
        super().__init__()
        self.skip = skip

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.skip - 1:
            float(logs["loss"])  # waits for the device
            self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        float(logs["loss"])
        self.stop = time.perf_counter()


class Copy:
    """Bytes read plus bytes written a second, with all cores, in arrays that no cache holds."""

    def __init__(self, cores):
        self.pool = ThreadPoolExecutor(cores)
        self.pairs = [(np.ones(2**26, "uint8"), np.ones(2**26, "uint8")) for _ in range(cores)]

    def measure(self, seconds):
        def step():
            list(self.pool.map(lambda pair: np.copyto(*pair), self.pairs))

        return pace(step, seconds) * sum(2 * pair[0].nbytes for pair in self.pairs)


class MultiplyAdd:
    """Multiply-adds a second of a product of float32 matrices on the CPU: the fastest code that a machine has."""

    def __init__(self, side=2048):
        self.side = side
        with tf.device("CPU:0"):
            self.matrix = tf.random.uniform((side, side))

    def measure(self, seconds):
        return pace(lambda: tf.linalg.matmul(self.matrix, self.matrix), seconds) * self.side**3


class Peer:
    """lightly in a Python of its own, which works when it is asked and waits meanwhile."""

    def __init__(self, options, cores, folder):
        self.folder = folder
        script = Path(__file__).with_name("augment_peer.py")
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        if options.peer_path:
            environment["PYTHONPATH"] = options.peer_path
        command = [options.peer_python, str(script), str(cores), *options.peer_import]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.versions = self.ask(do="versions")

    def arrays(self, images, policy):
        path = self.folder / f"{policy.source}.npy"
        np.save(path, images)
        return PeerLoader(self, do="arrays", path=str(path), policy=policy)

    def files(self, paths, policy):
        path = self.folder / "paths.json"
        path.write_text(json.dumps(paths))
        return PeerLoader(self, do="files", path=str(path), policy=policy)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("The peer's process has ended. Its error stands above.")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class PeerLoader:
    """Images per second out of the peer's DataLoader."""

    def __init__(self, peer, policy, **question):
        settings = ("size", "batch", "strength", "blur_p")
        self.peer = peer
        self.question = question | {name: getattr(policy, name) for name in settings}

    def measure(self, seconds):
        return self.peer.ask(**self.question, seconds=seconds)


def pace(step, seconds):
    """Steps per second, after a warm-up of a third of the time."""
    stop = time.perf_counter() + seconds / 3
    for warm in range(10**9):
        step()
        if warm >= 2 and time.perf_counter() >= stop:
            break
    start, steps = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds or steps < 2:
        step()
        steps += 1
    return steps / passed


def multiply_adds(policy):
    """Multiply-adds that two views of one image need: one a tap, and a value has 3 channels.

    Two taps a direction for the crop, the rows first; one for the brightness; two each for contrast and saturation
    (gray, mix) and three for the hue (a 3 x 3 matrix), as often as the jitter happens; one for gray; and the kernel in
    each direction.
    """
    jitter = policy.jitter_p * (1 + 2 + 2 + 3)
    taps = 4 + jitter + policy.grayscale_p + policy.blur_p * 2 * policy.kernel
    return 2 * taps * policy.size**2 * 3


# What is left: images, cores, and the report.


def chosen(options):
    return [policy for policy in POLICIES if options.size in (None, policy.size)]


def noise(policy):
    count = max(4 * policy.batch, SOURCE_BYTES // (policy.source**2 * 3))
    return np.random.default_rng(0).integers(0, 256, (count, policy.source, policy.source, 3), "uint8")


def links(photos, folder):
    """Paths of a folder with links to the photographs, the same ones again and again, FILES in all."""
    if photos.is_file():
        with tarfile.open(photos) as archive:
            archive.extractall(folder / "photos", filter="data")
        photos = folder / "photos"
    found = sorted(path.resolve() for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        raise SystemExit(f"--photos: there are no JPEG files in {photos}")
    (folder / LINKS).mkdir()
    paths = [folder / LINKS / f"{number:05d}.jpg" for number in range(FILES)]
    for number, path in enumerate(paths):
        path.symlink_to(found[number % len(found)])
    return [str(path) for path in paths]


def limit_cores(wanted):
    """Keeps this process, and those it starts, to as many cores; returns how many."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count()
    there = sorted(os.sched_getaffinity(0))
    used = there[: wanted or len(there)]
    os.sched_setaffinity(0, used)  # TensorFlow, torch and the loader's workers size their pools by it
    return len(used)


class Report:
    """Rounds of measurements, a table of each part, and the file of all numbers."""

    def __init__(self, options, cores):
        self.path = options.json
        devices = [device.device_type for device in tf.config.list_physical_devices()]
        self.content = {
            "machine": {"cores": cores, "processor": processor(), "devices": devices, "python": sys.version.split()[0]},
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
            "rounds": options.rounds,
            "seconds": options.seconds,
            "parts": [],
        }
        print(f"{cores} cores, {processor()}, TensorFlow {tf.__version__}, {options.rounds} rounds of", end=" ")
        print(f"{options.seconds:g} s")

    def rates(self, title, contenders, options):
        if options.contenders is not None:
            words = ("ours", *options.contenders)
            contenders = {name: kept for name, kept in contenders.items() if any(word in name for word in words)}
        rounds = self.run(title, contenders, options)
        first = next(iter(rounds))
        print(f"\n{title}\n\n| | images/s (quartiles) | {first} / it (quartiles) |\n|---|---|---|")
        for name, rates in rounds.items():
            ratio = "" if name == first else spread(rounds[first] / rates, ".2f")
            print(f"| {name} | {spread(rates, ',.0f')} | {ratio} |", flush=True)
        self.keep(title, "images/s", rounds, {name: rounds[first] / rates for name, rates in rounds.items()})

    def steps(self, title, contenders, options):
        rounds = {name: 1000 / rates for name, rates in self.run(title, contenders, options).items()}
        first = next(iter(rounds))
        print(f"\n{title}\n\n| augmentation | ms a step (quartiles) | it / {first} (quartiles) |\n|---|---|---|")
        for name, times in rounds.items():
            ratio = "" if name == first else spread(times / rounds[first], ".3f")
            print(f"| {name} | {spread(times, '.1f')} | {ratio} |", flush=True)
        self.keep(title, "ms a step", rounds, {name: times / rounds[first] for name, times in rounds.items()})

    def limit(self, title, contenders, options, moved, needed):
        rounds = self.run(title, contenders, options)
        copied, multiplied, own = rounds.values()
        by_bytes, by_taps = copied / moved, multiplied / needed
        reached = own / np.minimum(by_bytes, by_taps)
        print(f"\n{title}: an image moves {moved:,} bytes and needs {needed:,.0f} multiply-adds")
        print("\n| | measured (quartiles) | allows |\n|---|---|---|")
        print(f"| copy | {spread(copied / 1e9, '.1f')} GB/s | {np.median(by_bytes):,.0f} images/s |")
        print(f"| multiply-add | {spread(multiplied / 1e9, '.1f')} G/s | {np.median(by_taps):,.0f} images/s |")
        print(f"| ours | {spread(own, ',.0f')} images/s | is {spread(100 * reached, '.1f')} % of it |", flush=True)
        self.keep(title, "/s", rounds, {"ours": reached})

    def run(self, title, contenders, options):
        """The rates of every contender, an array of as many as there are rounds."""
        for name, contender in contenders.items():  # traces and compiles
            progress(f"{title}: first call of {name}")
            contender.measure(0.1)
        rounds = {name: [] for name in contenders}
        for number in range(options.rounds):
            for name, contender in contenders.items():
                progress(f"{title}: round {number + 1}, {name}")
                rounds[name].append(contender.measure(options.seconds))
        progress("")
        return {name: np.array(rates) for name, rates in rounds.items()}

    def keep(self, title, unit, rounds, ratios):
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        entry = {"title": title, "unit": unit, "load_average": load, "rows": {}}
        for name, values in rounds.items():
            entry["rows"][name] = {"rounds": [float(value) for value in values], **quartiles(values, "")}
            if name in ratios:
                entry["rows"][name] |= quartiles(ratios[name], "ratio_")
        self.content["parts"].append(entry)
        if self.path is not None:
            self.path.write_text(json.dumps(self.content, indent=1))


def quartiles(values, prefix):
    low, middle, high = (float(value) for value in np.percentile(values, [25, 50, 75]))
    return {f"{prefix}median": middle, f"{prefix}low": low, f"{prefix}high": high}


def spread(values, form):
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def processor():
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
