"""Video file: frames of a video, by their numbers. Folders of frames and GIF are read by Pillow, others by PyAV."""

import collections
import contextlib
import importlib.util
import os
import re
import threading

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_ssl.data import decode

ANIMATIONS = (".gif",)
CONTAINERS = (
    ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".ogv", ".wmv", ".flv", ".3gp",
)  # fmt: skip
SOUGHT = ("mov", "matroska", "avi")  # the kinds with a list of key frames: of others, seeking finds other frames
FRAMES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


class BadVideo(ValueError):
    """A file that cannot be used; the words say why."""


def readable():
    """The extensions of the files that are read here."""
    return ANIMATIONS + (CONTAINERS if has_av() else ())


def has_av():
    return importlib.util.find_spec("av") is not None


def open_video(path):
    """The frames of a file, or of a folder that holds them as images in the order of the numbers in their names.

    Returns:
        an object with the int `frames`, how many there are, and `read(numbers, make)`, which returns a dict from the
        numbers to what `make` makes of each frame, a `PIL.Image`.

    Raises:
        BadVideo: it cannot be used.
        OSError: it cannot be read.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        return FrameFolder(path)
    if not os.stat(path).st_size:
        raise BadVideo("is empty")
    return Animation(path) if os.path.splitext(path)[1].lower() in ANIMATIONS else Container(path)


class FrameFolder:
    """A folder with an image for each frame."""

    def __init__(self, path):
        names = [name for name in os.listdir(path) if is_frame(name)]
        self.paths = [os.path.join(path, name) for name in sorted(names, key=by_number)]
        self.frames = len(names)
        if not names:
            raise BadVideo(f"holds no frames. Extensions that are read: {', '.join(FRAMES)}")

    def read(self, numbers, make):
        found = {}
        for number in sorted(set(numbers)):
            try:
                found[number] = make(image_file(self.paths[number]))
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
                if isinstance(error, BadVideo):
                    raise
                reason = "it is no image" if isinstance(error, UnidentifiedImageError) else error
                raise BadVideo(f"has a frame {os.path.basename(self.paths[number])!r} that cannot be read: {reason}")
        return found


def image_file(path):
    """An image as `image_folder` reads it: upright, of 16 bits the upper 8, and an error where white is not known."""
    with open(path, "rb") as file:
        content = file.read()
    pixels, number = decode.pillow(content, 3), int(decode.exif_orientation(content))
    return Image.fromarray(np.ascontiguousarray(decode.upright(pixels, number)))


def is_frame(name):
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in FRAMES


def by_number(name):
    """A key to sort by: frame_9 comes before frame_10."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


class Animation:
    """A GIF, whose frames are made one after the other."""

    def __init__(self, path):
        self.path = path
        with self.opened() as image:
            self.frames = getattr(image, "n_frames", 1)

    @contextlib.contextmanager
    def opened(self):
        try:
            with Image.open(self.path) as image:
                yield image
        except BadVideo:
            raise
        except (SyntaxError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise BadVideo(f"cannot be read: {error}") from error

    def read(self, numbers, make):
        found = {}
        with self.opened() as image:
            for number in sorted(set(numbers)):
                image.seek(number)
                found[number] = make(image.convert("RGB"))
        return found


class Container:
    """A file with a video stream.

    The packets are listed once, which decodes nothing: the time stamps in order are the numbers of the frames, whatever
    the rate says. What is found is kept, up to `MOST` bytes for all files. To read frames, decoding begins at the last
    key frame before the first of them, in kinds of files that list their key frames, and at the start in others.
    """

    def __init__(self, path):
        if not has_av():
            raise BadVideo('needs the extra "video": pip install keras_ssl[video]')
        status = os.stat(path)
        self.path, self.key = path, (path, status.st_size, status.st_mtime_ns)
        self.times, self.keys, self.frames = LISTED(*self.key)
        if not self.frames:
            raise BadVideo("holds no frames")

    def read(self, numbers, make):
        numbers = sorted(set(numbers))
        with opened(self.path) as (container, stream):
            if self.times is None:
                return self._count_up(container, stream, numbers, make)
            found, source, before = {}, Source(container, stream), None
            for number in numbers:
                first = self.keys[np.searchsorted(self.keys, number, "right") - 1]
                if first > (0 if before is None else before + 1):
                    source.seek(int(self.times[first]))
                frame = source.at(int(self.times[number]))
                if frame is None:
                    raise BadVideo(cut_off(self.frames, number))
                found[number], before = make(picture(frame)), number
        return found

    def _count_up(self, container, stream, numbers, make):
        found, wanted = {}, set(numbers)
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                found[number] = make(picture(frame))
            if number == numbers[-1]:
                return found
        raise BadVideo(cut_off(self.frames, len(found)))


class Source:
    """The frames of an open file, in the order of their time stamps."""

    def __init__(self, container, stream):
        self.container, self.stream = container, stream
        self.frames, self.shown, self.ahead = container.decode(stream), None, None

    def seek(self, time):
        """Begins anew at the key frame of this time."""
        self.container.seek(time, stream=self.stream)
        self.frames, self.shown, self.ahead = self.container.decode(self.stream), None, None

    def at(self, time):
        """The last frame that is shown by this time; None where the file ends before.

        A packet may have no frame of its own: those of VP8 that are only for reference.
        """
        while self.shown is None or self.shown.pts < time:
            if self.ahead is None:
                self.ahead = next(self.frames, None)
            if self.ahead is None:
                return None
            if self.ahead.pts is None:
                raise BadVideo("has a frame without a time stamp, though its packets have them")
            if self.shown is not None and self.ahead.pts > time:
                break
            self.shown, self.ahead = self.ahead, None
        return self.shown


@contextlib.contextmanager
def opened(path):
    """A file and its video stream, which is decoded by one thread: samples are read in parallel instead."""
    import av

    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise BadVideo("holds no video, only other streams")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # threads of frames hang where a clip ends early
            yield container, stream
    except (av.FFmpegError, EOFError) as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise
        raise BadVideo(f"cannot be read: {error}") from error


class Kept:
    """A function of a file whose results are kept, those that were asked for last, as many as fit.

    Args:
        function: from hashable arguments to a tuple of arrays and others.
        most: int, bytes that the arrays may take, 1 kB more for each result.
    """

    def __init__(self, function, most):
        self.function, self.most, self.bytes = function, most, 0
        self.found, self.lock = collections.OrderedDict(), threading.Lock()

    def __call__(self, *arguments):
        with self.lock:
            if arguments in self.found:
                self.found.move_to_end(arguments)
                return self.found[arguments]
        made = self.function(*arguments)  # files are read in parallel; what two made is the same
        with self.lock:
            if arguments not in self.found:
                self.found[arguments] = made
                self.bytes += size_of(made)
            while self.bytes > self.most and self.found:
                self.bytes -= size_of(self.found.popitem(last=False)[1])
        return made


def size_of(made):
    return 1000 + sum(getattr(part, "nbytes", 0) for part in made)


def listed(path, size, modified):
    """The time stamps of the frames in order, int64, or None where they tell nothing; the numbers of key frames; the
    number of frames."""
    with opened(path) as (container, stream):
        names = container.format.name.split(",")
        there, found = 0, []
        for packet in container.demux(stream):
            there += packet.size > 0 or packet.dts is not None  # an AVI repeats a frame by a packet without bytes
            if packet.size and not packet.is_discard:
                found.append((packet.pts, packet.is_keyframe))
        if there < stream.frames:
            raise BadVideo(cut_off(stream.frames, there))
    times = [time for time, _ in found]
    if None in times or len(set(times)) < len(times):
        with opened(path) as (container, stream):
            return None, None, sum(1 for _ in container.decode(stream))
    found.sort()
    keys = np.flatnonzero([key for _, key in found])
    if not set(names) & set(SOUGHT) or not len(keys) or keys[0]:
        keys = np.zeros(1, "int64")
    return np.array([time for time, _ in found], "int64"), keys, len(found)


MOST = 2**28
LISTED = Kept(listed, MOST)


def cut_off(said, there):
    return f"is cut off: it should hold {said} frames, {there} are there"


def picture(frame):
    """A frame as an image, upright."""
    pixels = frame.to_ndarray(format="rgb24")
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    return Image.fromarray(np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels)


def fitted(size, upscale):
    """A function that resizes the short side of an image to `size`, antialiased, and crops the center: uint8."""
    height, width = size

    def fit(image):
        if not upscale and (image.height < height or image.width < width):
            raise BadVideo(
                f"has frames of {image.height} x {image.width} pixels, smaller than size={height} x {width}. Pass a "
                "smaller size, or upscale=True"
            )
        ratio = max(height / image.height, width / image.width)
        extent = width / ratio, height / ratio
        left, top = (image.width - extent[0]) / 2, (image.height - extent[1]) / 2
        box = left, top, min(left + extent[0], image.width), min(top + extent[1], image.height)
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))

    return fit


def clip(path, size, frames, stride=1, *, draw=None, share=0.5, short="repeat", upscale=False):
    """A clip of a video.

    Args:
        path: file, or folder of frames.
        size: (height, width) in pixels.
        frames: int, the frames of the clip.
        stride: int, the step from one to the next.
        draw: number in [0, 1), where it starts, all starts equally likely; None: at `share`.
        share: number in [0, 1], where it starts: 0 is the first start that there is, 1 the last.
        short: what follows the last frame: `"repeat"`: that frame again; `"wrap"`: the first ones; `"raise"`: an error.
        upscale: whether smaller frames are enlarged.

    Returns:
        uint8 `(frames, height, width, 3)`, and how many of them are no repetition.

    Raises:
        BadVideo: the video cannot be used.
    """
    video = open_video(path)
    span = (frames - 1) * stride + 1
    if short == "raise" and video.frames < span:
        raise BadVideo(f"is too short: it has {video.frames} frames, and a clip spans {span}")
    last = max(video.frames - span, 0)
    start = round(share * last) if draw is None else min(int(draw * (last + 1)), last)
    numbers = start + stride * np.arange(frames)
    real = int((numbers < video.frames).sum())
    numbers = np.minimum(numbers, video.frames - 1) if short == "repeat" else numbers % video.frames
    found = video.read(numbers.tolist(), fitted(size, upscale))
    return np.stack([found[number] for number in numbers.tolist()]), real


def problem(path, size=None, least=1, upscale=False):
    """What is wrong with a video, all of which is decoded; None where nothing is."""
    try:
        video = open_video(path)
        if video.frames < least:
            raise BadVideo(f"is too short: it has {video.frames} frames, and a clip spans {least}")
        fit = (lambda image: None) if size is None else fitted(size, upscale)
        video.read(range(video.frames), lambda image: fit(image) is None)
    except BadVideo as error:
        return f"The video {path!r} {error}."
    except OSError as error:
        return f"The video {path!r} cannot be read: {error.strerror or error}."
    return None
