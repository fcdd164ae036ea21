"""Videos in files: frames by number in every format, clips, seeking, and files that cannot be used."""

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from keras_ssl import data
from keras_ssl.data import video_file
from tests.test_data_audio import form as wav_form
from tests.test_data_audio import riff, rows

needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason='the extra "video" is not installed')
HEIGHT, WIDTH = 32, 48


def images(count, height=HEIGHT, width=WIDTH):
    """Frames that show their numbers: eight rows of black and white, the bits."""
    bits = np.arange(count)[:, None] >> np.arange(8) & 1
    rows = np.repeat(np.where(bits, 220, 30), height // 8, axis=1)
    return list(np.broadcast_to(rows[:, :, None, None], (count, height, width, 3)).astype("uint8"))


def numbers(frames):
    """The numbers of frames, uint8 `(..., height, width, 3)`."""
    rows = np.asarray(frames, "float32").mean(axis=(-2, -1))
    rows = rows.reshape(*rows.shape[:-1], 8, -1).mean(axis=-1)
    return ((rows > 125) << np.arange(8)).sum(axis=-1)


def frame_folder(path, count=20, **options):
    path.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images(count, **options)):
        Image.fromarray(image).save(path / f"frame_{number}.png")
    return path


def write(path, count=40, codec="mpeg4", rate=25, key=12, pictures=None, **options):
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = images(count) if pictures is None else pictures
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec != "mjpeg":
            stream.codec_context.gop_size = key
            never = "0" if codec == "libx264" else "1000000000"  # no key frames at changes of the scene
            options = {"b:v": "4M", "sc_threshold": never} | options
        stream.options = options
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def gif(path, count=20):
    first, *others = [Image.fromarray(image) for image in images(count)]
    first.save(path, save_all=True, append_images=others, duration=40, loop=0)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos")
    for number in range(4):
        frame_folder(path / "ab"[number % 2] / f"{'xy'[number // 2]}_{number}", 10 + 5 * number)
    gif(path / "b" / "x_4.gif", 30)
    return path


# Frames


@needs_av
@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("a.mp4", "mpeg4", {}), ("b.mp4", "libx264", {"bf": "3"}), ("c.avi", "mpeg4", {}), ("e.mkv", "ffv1", {}),
        ("d.webm", "libvpx-vp9", {}), ("g.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
        ("f.mov", "mjpeg", {}), ("h.mpg", "mpeg2video", {"bf": "2"}),
    ],
)  # fmt: skip
def test_frames_are_known_by_their_numbers(tmp_path, name, codec, options):
    import av

    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    video = video_file.open_video(write(tmp_path / name, codec=codec, **options))
    assert video.frames in (40, 41)  # a packet of VP8 may be for reference only
    for wanted in ([0], [38, 3, 17], list(range(11, 27)), [39]):
        found = video.read(wanted, np.asarray)
        assert sorted(found) == sorted(wanted)
        assert [int(numbers(found[number])) for number in wanted] == wanted
        assert found[wanted[0]].shape == (HEIGHT, WIDTH, 3)


@needs_av
def test_decoding_begins_at_the_last_key_frame(tmp_path, monkeypatch):
    path, decoded = write(tmp_path / "a.mp4", count=45, key=10), []

    class Counting(video_file.Source):
        def seek(self, time):
            super().seek(time)
            frames = self.frames

            def counted():
                for frame in frames:
                    decoded.append(int(numbers(frame.to_ndarray(format="rgb24"))))
                    yield frame

            self.frames = counted()

    monkeypatch.setattr(video_file, "Source", Counting)
    video_file.clip(path, (32, 48), 4, 2, share=1.0)
    assert decoded == [*range(30, 39), *range(40, 45)]  # 38, and 40, 42 and 44


@needs_av
def test_a_video_that_a_phone_marks_as_turned_is_upright(tmp_path):
    picture = np.zeros((HEIGHT, WIDTH, 3), "uint8")
    picture[:16, :24] = 250  # of the file: the left upper corner
    path = write(tmp_path / "a.mp4", pictures=[picture] * 3)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44  # the matrix of the track, 16.16: a quarter turn
    turn = [0, -(2**16), 0, 2**16, 0, 0, 0, 0, 2**30]
    content[place : place + 36] = np.array(turn, ">i4").tobytes()
    path.write_bytes(content)
    found = video_file.open_video(path).read([1], np.asarray)[1]
    assert found.shape == (WIDTH, HEIGHT, 3)
    assert found[24:, :16].mean() > 200 and found[:24].mean() < 40  # counter-clockwise: left above is left below


def test_frames_of_a_folder_are_in_the_order_of_their_numbers(tmp_path):
    path = frame_folder(tmp_path / "clip", 12)
    (path / ".hidden.png").write_bytes(b"x")
    (path / "notes.txt").write_text("x")
    video = video_file.open_video(path)
    assert video.frames == 12
    assert [int(numbers(image)) for image in video.read(range(12), np.asarray).values()] == list(range(12))


def test_frames_of_a_folder_are_read_as_images_are(tmp_path):
    """Those of 16 bits are no white ones, what a camera marks as turned is upright, and 32 bits are not guessed."""
    picture = np.zeros((HEIGHT, WIDTH, 3), "uint8")
    picture[:16, :24] = 250
    path = tmp_path / "a" / "clip"
    path.mkdir(parents=True)
    for number in range(1, 9):
        tag = Image.Exif()
        tag[274] = number
        Image.fromarray(picture).save(path / f"{number}.png", exif=tag)
    levels = np.arange(HEIGHT * WIDTH, dtype="uint16").reshape(HEIGHT, WIDTH) * 40
    Image.fromarray(levels).save(path / "9.png")
    frames = video_file.open_video(path).read(range(9), np.asarray)
    pipeline = data.image_folder(tmp_path, 32, 9, shuffle=False)
    images = rows(pipeline)["image"]
    names = [int(name.split("/")[-1].split(".")[0]) for name in pipeline.file_paths]
    fit = video_file.fitted((32, 32), False)
    for name, image in zip(names, images):
        found = fit(Image.fromarray(frames[name - 1]))
        np.testing.assert_allclose(np.int32(found), image, atol=1, err_msg=str(name))
        if name < 9:
            assert found[2, 2, 0] == (250 if name in (1, 5) else 0)
    np.testing.assert_array_equal(frames[8], (levels >> 8)[..., None].repeat(3, axis=2))
    Image.fromarray(levels.astype("float32")).save(path / "10.tif")
    with pytest.raises(video_file.BadVideo, match="'10.tif' that cannot be read: The pixels are numbers of 32 bits"):
        video_file.open_video(path).read([9], np.asarray)


def test_animations_need_no_other_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    video = video_file.open_video(gif(tmp_path / "a.gif"))
    assert video.frames == 20
    assert [int(numbers(image)) for image in video.read([1, 7, 19], np.asarray).values()] == [1, 7, 19]


def test_frames_are_fitted_as_images_are(tmp_path):
    """The short side is resized, then the center is cropped."""
    ramp = np.broadcast_to(np.linspace(0, 250, 90)[None, :, None], (30, 90, 3)).astype("uint8")
    path = tmp_path / "clip"
    path.mkdir()
    for number in range(2):
        Image.fromarray(ramp).save(path / f"{number}.png")
    found, real = video_file.clip(path, (15, 15), 2)
    assert found.shape == (2, 15, 15, 3) and found.dtype == np.uint8 and real == 2
    np.testing.assert_allclose(found[0, 0, :, 0], np.linspace(86, 164, 15), atol=3)
    with pytest.raises(video_file.BadVideo, match="frames of 30 x 90 pixels, smaller than size=40 x 40"):
        video_file.clip(path, (40, 40), 2)
    assert video_file.clip(path, (40, 40), 2, upscale=True)[0].shape == (2, 40, 40, 3)


def test_an_animation_with_too_many_pixels_is_a_bad_video(tmp_path, monkeypatch):
    path = gif(tmp_path / "a.gif", 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "cannot be read: Image size" in video_file.problem(path)


def test_a_frame_without_a_time_stamp_is_a_bad_video():
    frames = [SimpleNamespace(pts=0), SimpleNamespace(pts=None)]
    source = video_file.Source(SimpleNamespace(decode=lambda stream: iter(frames)), None)
    assert source.at(0) is frames[0]
    with pytest.raises(video_file.BadVideo, match="a frame without a time stamp"):
        source.at(5)


def test_what_is_found_in_files_is_kept_while_it_fits():
    asked = []

    def listed(path):
        asked.append(path)
        return np.zeros(300, "int64"), np.zeros(25, "int64"), 300  # 3,600 bytes with what is around them

    kept = video_file.Kept(listed, video_file.MOST)
    for _ in range(2):
        for path in np.random.default_rng(0).permutation(5_000):
            assert kept(path)[2] == 300
    assert len(asked) == 5_000 and kept.bytes == 5_000 * 3_600 and video_file.MOST > 70_000 * 3_600
    asked.clear()
    kept = video_file.Kept(listed, 10 * 3_600)
    for path in [*range(10), 0, 10, 0, 1]:  # 10 takes the place of 1, which was not asked for since
        kept(path)
    assert asked == [*range(10), 10, 1] and kept.bytes == 10 * 3_600 == len(kept.found) * 3_600


# Clips


def test_clips_of_a_folder(folder):
    pipeline = data.video_folder(
        folder, 16, 2, frames=4, labels=True, groups=lambda name: name[2], shuffle=False, index=True, place="even"
    )
    found = rows(pipeline)
    assert [path.split("/")[-1] for path in pipeline.file_paths] == ["x_0", "y_2", "x_1", "x_4.gif", "y_3"]
    assert found["label"].tolist() == [0, 0, 1, 1, 1] and pipeline.class_names == ["a", "b"]
    assert found["group"].tolist() == [0, 1, 0, 0, 1] and pipeline.group_names == ["x", "y"]
    assert found["video"].shape == (5, 4, 16, 16, 3) and found["video"].dtype == "uint8"
    assert numbers(found["video"]).tolist() == [
        [first + 2 * i for i in range(4)] for first in (2, 6, 4, 12, 9)
    ]  # the middle of 10, 20, 15, 30 and 25 frames: 3, 13, 8, 23 and 18 starts after the first
    assert pipeline.in_order().ordered and pipeline.samples == 5 and len(pipeline) == 3


def test_clips_are_drawn_by_seed_pass_and_sample(folder):
    make = lambda **options: data.video_folder(  # noqa: E731
        folder, 8, 2, frames=3, stride=2, clips=2, index=True, drop_remainder=False, **options
    )

    def starts(pipeline=None, **options):
        found = rows(make(**options) if pipeline is None else pipeline)
        clips = numbers(found["video"])[np.argsort(found["index"])]
        assert (np.diff(clips, axis=1) == 2).all()
        return clips[:, 0]

    first = starts()
    assert len(first) == 10 and make().samples == 10
    np.testing.assert_array_equal(first, starts(parallel_calls=1))
    assert (first != starts(epoch=1)).mean() > 0.5 and (first != starts(seed=1)).mean() > 0.5
    assert (first[::2] != first[1::2]).mean() > 0.5  # the clips of a video
    lasts = np.repeat([10, 20, 15, 30, 25], 2) - 5
    again = make()
    many = np.stack([starts(again) for _ in range(6)])
    np.testing.assert_array_equal(many[0], first)
    assert (many >= 0).all() and (many <= lasts).all()
    assert abs((many / lasts).mean() - 0.5) < 0.12
    halves = [rows(make().share(host, 2))["index"] for host in (0, 1)]
    np.testing.assert_array_equal(np.stack(halves, axis=1).reshape(-1), rows(make())["index"])
    assert make().fingerprint == make().fingerprint != data.video_folder(folder, 8, 2, frames=4).fingerprint


def test_clips_of_an_evaluation_are_spread_evenly(folder):
    paths = [str(folder / "b" / "y_3"), str(folder / "a" / "x_0")]
    pipeline = data.video_files(paths, 8, 3, frames=2, stride=1, clips=3, place="even", shuffle=False, labels=[7, 8])
    found = rows(pipeline)
    assert numbers(found["video"])[:, 0].tolist() == [0, 12, 23, 0, 4, 8]
    assert found["label"].tolist() == [7, 7, 7, 8, 8, 8]


@pytest.mark.parametrize(
    "short, expected", [("repeat", [0, 4, 8, 9, 9, 9]), ("wrap", [0, 4, 8, 2, 6, 0])]
)
def test_short_videos(folder, short, expected):
    options = {"frames": 6, "stride": 4, "shuffle": False, "mask": True}
    found = rows(data.video_files([folder / "a" / "x_0"], 8, 1, short=short, **options))
    assert numbers(found["video"])[0].tolist() == expected
    assert found["video_mask"][0].tolist() == [True] * 3 + [False] * 3
    with pytest.raises(Exception, match="x_0' is too short: it has 10 frames, and a clip spans 21"):
        list(data.video_files([folder / "a" / "x_0"], 8, 1, short="raise", **options))


@needs_av
def test_files_and_folders_train_a_model(tmp_path):
    import keras

    import keras_ssl

    write(tmp_path / "a.mp4")
    frame_folder(tmp_path / "b", 12)
    clips = keras.Input((4, 16, 16, 3))
    encoder = keras.Model(clips, keras.layers.GlobalAveragePooling3D()(keras.layers.Conv3D(4, 2, strides=2)(clips)))
    model = keras_ssl.SimCLR(encoder, keras_ssl.augment.simclr_video(16, frames=4, stride=1))
    model.compile(optimizer="sgd", run_eagerly=True)
    pipeline = data.video_folder(tmp_path, 24, 2, frames=6)
    assert np.isfinite(model.fit(pipeline, verbose=0).history["loss"][0])
    parts = pipeline.in_order().map(lambda batch: {"video": batch["video"][:, :4, :16, :16]})
    assert model.predict(parts, verbose=0).shape == (2, 4)


# Videos that cannot be used


def bad_videos(folder):
    import av  # noqa: F401

    whole = write(folder / "good_b.mp4", movflags="faststart").read_bytes()
    front = folder / "front.mp4"
    rewrite(folder / "good_b.mp4", front)
    cut = front.read_bytes()
    front.unlink()
    made = {
        "empty.mp4": b"",
        "late.mp4": whole[: len(whole) // 2],
        "cut.mp4": cut[: len(cut) * 3 // 4],
        "text.mp4": b"this is no video, it is a text of some length",
        "sound.avi": riff(wav_form(), bytes(range(200)) * 20),
        "nothing.gif": b"GIF89a",
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    frame_folder(folder / "broken", 5)
    (folder / "broken" / "frame_2.png").write_bytes(b"no image")
    write(folder / "good_a.mp4")
    return [*made, "broken"]


def rewrite(source, target):
    """With the table of its frames in front, as on the web."""
    import av

    with av.open(str(source)) as old, av.open(str(target), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


WORDS = {
    "empty.mp4": "is empty", "late.mp4": "cannot be read", "cut.mp4": "is cut off: it should hold 40 frames, ",
    "text.mp4": "cannot be read", "sound.avi": "holds no video, only other streams", "nothing.gif": "cannot be read",
    "broken": "has a frame 'frame_2.png' that cannot be read: it is no image",
}  # fmt: skip


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    pytest.importorskip("av", reason='the extra "video" is not installed')
    path = tmp_path_factory.mktemp("bad")
    bad_videos(path)
    return path


@pytest.mark.parametrize("name", WORDS)
def test_a_bad_video_is_named(bad, name):
    paths = [bad / one for one in ("good_a.mp4", name, "good_b.mp4")]
    pipeline = data.video_files(paths, 16, 3, frames=20, stride=2, shuffle=False)
    with pytest.raises(Exception, match=f"The video .*{name}' {WORDS[name]}"):
        list(pipeline)


def test_bad_videos_are_skipped_and_counted(bad):
    with pytest.warns(UserWarning, match=f"{len(WORDS)} of {len(WORDS) + 2} videos are skipped, among them: The video"):
        pipeline = data.video_folder(bad, 16, 1, on_error="skip", index=True, shuffle=False)
    assert [path[-10:] for path in pipeline.file_paths] == ["good_a.mp4", "good_b.mp4"]
    assert rows(pipeline)["index"].tolist() == [0, 1]
    with pytest.raises(ValueError, match=f"None of the {len(WORDS)} videos can be used. The first one: The video"):
        data.video_files([bad / name for name in WORDS], 16, 1, on_error="skip")


def test_formats_that_need_the_extra_are_counted(tmp_path, monkeypatch):
    frame_folder(tmp_path / "clip", 4)
    for name in ("b.mp4", "c.MKV", "notes.txt", ".hidden.mp4", "cover.jpg"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(video_file, "has_av", lambda: False)
    with pytest.warns(UserWarning, match=r'left out: 1 x .mkv, 1 x .mp4. They need the extra "video"'):
        pipeline = data.video_folder(tmp_path, 8, 1)
    assert pipeline.left_out == {".mkv": 1, ".mp4": 1, ".txt": 1, ".jpg": 1} and len(pipeline.file_paths) == 1
    with pytest.raises(Exception, match='b.mp4\' needs the extra "video": pip install'):
        list(data.video_files([tmp_path / "b.mp4"], 8, 1))


@pytest.mark.parametrize(
    "options, match",
    [
        ({"frames": 0}, "frames must be a positive int"),
        ({"stride": 0}, "stride must be a positive int"),
        ({"clips": 1.5}, "clips must be a positive int"),
        ({"place": "left"}, "place must be one of 'random', 'even'"),
        ({"short": "pad"}, "short must be one of 'repeat', 'wrap', 'raise'"),
        ({"size": 0}, "size must be a positive int"),
        ({"on_error": "x"}, 'on_error must be "raise" or "skip"'),
        ({"labels": [1]}, "labels must be as many as paths"),
        ({"groups": ["a"]}, "groups must be as many as paths"),
        ({"paths": []}, "paths is empty"),
    ],
)
def test_errors(folder, options, match):
    paths = [str(folder / "a" / "x_0"), str(folder / "b" / "x_1")]
    with pytest.raises(ValueError, match=match):
        data.video_files(**{"paths": paths, "size": 8, "batch_size": 2, **options})


def test_folder_errors(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        data.video_folder(tmp_path / "none", 8, 2)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match="holds no videos. Found: 1 x .txt"):
        data.video_folder(tmp_path, 8, 2)
    with pytest.raises(ValueError, match="groups must be a function"):
        data.video_folder(folder, 8, 2, groups=["a"])
    with pytest.raises(TypeError, match="paths must be a list of videos"):
        data.video_files(str(folder), 8, 2)
