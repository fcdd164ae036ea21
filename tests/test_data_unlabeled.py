"""Labeled samples with unlabeled ones beside them: the order, the seeds, where a run goes on, several hosts."""

import numpy as np
import pytest

import keras_ssl
from keras_ssl import data

LABELS = np.arange(10) % 3


def numbered(count, first=0):
    """Images whose pixels are their number."""
    return np.broadcast_to(np.arange(first, first + count)[:, None, None, None], (count, 4, 4, 3)).astype("uint8")


def mixed(batch=4, ratio=3, epoch=0, start=0, count=40, seed=0, few=10):
    labeled = data.arrays(numbered(few), batch, labels=LABELS[:few], drop_remainder=False, seed=seed)
    unlabeled = data.arrays(numbered(count, 100), ratio * batch, seed=seed, epoch=epoch, start=start, index=True)
    return data.with_unlabeled(labeled, unlabeled)


def passes(pipeline, count=1):
    return [[{k: np.asarray(v) for k, v in batch.items()} for batch in pipeline] for _ in range(count)]


def assert_equal(first, second):
    assert len(first) == len(second)
    for one, two in zip(first, second):
        assert one.keys() == two.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_every_labeled_image_has_unlabeled_ones_beside_it():
    pipeline = mixed()
    (batches,) = passes(pipeline)
    assert len(batches) == len(pipeline) == 3 and pipeline.samples == 40
    for batch in batches:
        assert batch["image"].shape == (4, 4, 4, 3) and batch["unlabeled"].shape == (4, 3, 4, 4, 3)
        assert batch["unlabeled_seed"].shape == (4, 3, 2) and batch["seed"].shape == (4, 2)
        np.testing.assert_array_equal(batch["label"], LABELS[batch["image"][:, 0, 0, 0]])
        np.testing.assert_array_equal(batch["unlabeled_index"] + 100, batch["unlabeled"][:, :, 0, 0, 0])
    seen = np.concatenate([batch["unlabeled_index"].ravel() for batch in batches])
    assert len(set(seen)) == 36
    seeds = np.concatenate([np.concatenate([b["seed"], b["unlabeled_seed"].reshape(-1, 2)]) for b in batches])
    assert len(np.unique(seeds, axis=0)) == len(seeds)


def test_all_labeled_images_come_before_any_comes_again():
    """Through the passes over the unlabeled ones, of 12 labeled images each."""
    found = np.concatenate([batch["image"][:, 0, 0, 0] for one in passes(mixed(), 5) for batch in one])
    orders = [found[begin : begin + 10] for begin in range(0, 60, 10)]
    for order in orders:
        assert sorted(order) == list(range(10))
    assert len({tuple(order) for order in orders}) == 6


def test_one_label_is_enough():
    (batches,) = passes(mixed(few=1))
    assert (np.concatenate([batch["label"] for batch in batches]) == 0).all()
    seeds = np.concatenate([batch["seed"] for batch in batches])
    assert len(np.unique(seeds, axis=0)) == 12  # and its views differ


@pytest.mark.parametrize("start", [0, 2])
def test_a_run_goes_on_anywhere(start):
    straight = passes(mixed(), 3)
    resumed = passes(mixed(epoch=1, start=start), 2)
    assert_equal(straight[1][start:], resumed[0])
    assert_equal(straight[2], resumed[1])
    moved = mixed()
    moved.epoch.assign(2)
    assert_equal(straight[2], passes(moved)[0])
    assert not np.array_equal(passes(mixed(seed=1))[0][0]["unlabeled"], straight[0][0]["unlabeled"])


def test_hosts_share_the_batches():
    whole = passes(mixed(), 2)
    parts = [passes(mixed().share(host, 2), 2) for host in range(2)]
    for number, batches in enumerate(whole):
        joined = [
            {name: np.concatenate([parts[host][number][i][name] for host in range(2)]) for name in batch}
            for i, batch in enumerate(batches)
        ]
        assert_equal(batches, joined)


def test_files_go_as_arrays_do(tmp_path):
    import keras

    paths = []
    for number in range(12):
        paths.append(str(tmp_path / f"{number:02}.png"))
        keras.utils.save_img(paths[-1], numbered(12)[number], scale=False)
    labeled = data.files(paths[:3], 4, 2, labels=[0, 1, 2], drop_remainder=False)
    pipeline = data.with_unlabeled(labeled, data.files(paths, 4, 4))
    straight = passes(pipeline, 2)
    for batch in straight[0]:
        np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], batch["label"])
    again = data.with_unlabeled(labeled, data.files(paths, 4, 4, epoch=1, start=1))
    assert_equal(straight[1][1:], passes(again)[0])


def test_views_are_those_of_the_model():
    layer = keras_ssl.augment.SemiViews(
        [keras_ssl.augment.RandomCrop(3, flip=0.5)], [keras_ssl.augment.RandomCrop(3, flip=0.5)] * 2
    )
    batch = passes(mixed())[0][0]
    made = passes(data.views(mixed(), layer).map(lambda x: {"a": x["views"][0], "b": x["views"][2]}))[0][0]
    expected = layer(batch)
    np.testing.assert_array_equal(made["a"], expected[0])
    np.testing.assert_array_equal(made["b"], expected[2])
    assert set(data.views(mixed(), layer).element_spec) == {"views", "label", "unlabeled_index"}


def test_hosts_need_as_many_labeled_rows():
    with pytest.raises(ValueError, match="multiple of the number of hosts, 3. Received: batch_size=4"):
        mixed().share(0, 3)


def test_masks_are_not_left_out_without_a_word():
    series = {"series": np.zeros((8, 5, 2), "float32"), "series_mask": np.ones((8, 5), bool)}
    labeled = data.arrays({"series": series["series"]}, 2, labels=[0] * 8)
    with pytest.raises(ValueError, match="unlabeled series cannot have series_mask"):
        data.with_unlabeled(labeled, data.arrays(series, 4))
    assert data.with_unlabeled(labeled, labeled).element_spec["unlabeled"].shape == (2, 1, 5, 2)


def test_other_batches_need_other_pipelines():
    with pytest.raises(ValueError, match="Make them anew for others. Received: batches of 6"):
        mixed().in_batches(6)
    with pytest.raises(ValueError, match="drop_remainder=True"):
        mixed().in_order()


@pytest.mark.parametrize(
    "labeled, unlabeled, error, message",
    [
        (lambda: numbered(4), lambda: data.arrays(numbered(8), 4), TypeError, "labeled must be a pipeline"),
        (lambda: data.arrays(numbered(4), 2), lambda: data.arrays(numbered(8), 4), ValueError, "must have labels"),
        (
            lambda: data.arrays(numbered(4), 2, labels=[0] * 4), lambda: data.arrays(numbered(8)[:, :3], 4), ValueError,
            "one kind and shape",
        ),
        (
            lambda: data.arrays(numbered(4), 2, labels=[0] * 4), lambda: data.arrays(numbered(8), 3), ValueError,
            "must be a multiple",
        ),
        (
            lambda: data.arrays(numbered(4), 2, labels=[0] * 4, epoch=1), lambda: data.arrays(numbered(8), 4),
            ValueError, "leave out epoch and start",
        ),
        (
            lambda: data.arrays(numbered(4), 2, labels=[0] * 4),
            lambda: data.arrays(numbered(9), 4, drop_remainder=False), ValueError, "drop_remainder=True",
        ),
        (
            lambda: data.arrays(numbered(4), 2, labels=[0] * 4), lambda: data.arrays(numbered(8), 4).shuffle(3),
            TypeError, "unlabeled must be a pipeline",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(labeled, unlabeled, error, message):
    with pytest.raises(error, match=message):
        data.with_unlabeled(labeled(), unlabeled())
