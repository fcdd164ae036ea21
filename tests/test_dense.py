"""Dense tasks: maps of all kinds of encoders, measures by hand and as papers define them, and toy tasks learned."""

import doctest
import functools

import keras
import numpy as np
import pytest

from keras_ssl import encoders
from keras_ssl import eval as evaluation
from keras_ssl.eval import detection, segmentation
from keras_ssl.eval.maps import maps

rng = np.random.default_rng


def resnet(shape=(32, 32, 3), **options):
    return encoders.resnet18(shape, width=4, **options)


def vit(**options):
    return encoders.vit((32, 32, 3), 4, width=12, depth=1, heads=1, **options)


def several():
    encoder = resnet()
    return keras.Model(encoder.input, [encoder.get_layer(f"stage{i}_block2_relu").output for i in (2, 4)])


# Maps


@pytest.mark.parametrize("make, shape, expected", [
    (resnet, (32, 32, 3), [(8, 8, 16), (4, 4, 32)]),
    (lambda: resnet(pooling=None), (32, 32, 3), [(8, 8, 16), (4, 4, 32)]),
    (lambda: resnet((None, None, 3), stem="imagenet"), (64, 96, 3), [(16, 24, 4), (8, 12, 8), (4, 6, 16), (2, 3, 32)]),
    (lambda: encoders.resnet50((64, 64, 3), width=2, stem="imagenet"), (64, 64, 3),
     [(16, 16, 8), (8, 8, 16), (4, 4, 32), (2, 2, 64)]),
    (lambda: encoders.pool(resnet(pooling=None)), (32, 32, 3), [(8, 8, 16), (4, 4, 32)]),
    (lambda: keras.Sequential([resnet(), keras.layers.Dense(3)]), (32, 32, 3), [(8, 8, 16), (4, 4, 32)]),
    (lambda: keras.applications.MobileNet((64, 64, 3), 0.25, include_top=False, weights=None, pooling="avg"),
     (64, 64, 3), [(16, 16, 32), (8, 8, 64), (4, 4, 128), (2, 2, 256)]),
    (vit, (32, 32, 3), [(8, 8, 12)]),
    (lambda: vit(pooling="mean", registers=2), (32, 32, 3), [(8, 8, 12)]),
    (lambda: vit(pooling=None, class_token=False), (32, 32, 3), [(8, 8, 12)]),
    (lambda: encoders.conv_vit((32, 32, 3), (1, 2, 2), width=(8, 8, 16), depth=(1, 1, 2), heads=2), (32, 32, 3),
     [(8, 8, 16)]),
    (lambda: encoders.swin((16, 16, 3), patch=2, width=8, depths=(1, 2), heads=(1, 2), window=4), (16, 16, 3),
     [(4, 4, 16)]),
    (several, (32, 32, 3), [(16, 16, 8), (4, 4, 32)]),
])
def test_maps_of(make, shape, expected):
    model = maps(make(), shape, levels=4)
    found = keras.tree.flatten(model(np.zeros((2, *shape), "float32")))
    assert [tuple(x.shape) for x in found] == [(2, *size) for size in expected]


def test_the_last_map_is_what_the_encoder_pools():
    images = rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    of_tokens = vit(pooling="mean")
    for encoder in (resnet(), of_tokens, encoders.pool(resnet(pooling=None))):
        last = maps(encoder, (32, 32, 3), levels=1)(images)
        np.testing.assert_allclose(np.mean(last, axis=(1, 2)), encoder(images), atol=1e-5)
    # Row by row: place (row, column) is token 1 + 8 * row + column.
    tokens = keras.Model(of_tokens.input, of_tokens.get_layer("blocks")(
        of_tokens.get_layer("positions")(of_tokens.get_layer("patches").output)
    ))(images)
    np.testing.assert_allclose(maps(of_tokens, (32, 32, 3), 1)(images)[:, 2, 5], tokens[:, 1 + 8 * 2 + 5], atol=1e-5)


def test_levels_of_a_resnet_are_the_ends_of_its_stages():
    encoder = encoders.resnet50((64, 64, 3), width=2, stem="imagenet")
    found = maps(encoder, (64, 64, 3), levels=3).outputs
    ends = [encoder.get_layer(f"stage{i}_block{n}_relu").output for i, n in ((2, 4), (3, 6), (4, 3))]
    assert [x is end for x, end in zip(found, ends, strict=True)] == [True] * 3


def test_an_encoder_without_maps():
    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="no map that is smaller than its images"):
        maps(flat, (8, 8, 3), 4)


# Segmentation: the measures


def test_confusion_is_what_keras_counts():
    masks, predictions = rng(0).integers(0, 4, (2, 3, 8, 8))
    masks[0, :2] = 255
    counts = segmentation.confusion(masks, predictions, 4, 255)
    metric = keras.metrics.MeanIoU(4, ignore_class=255)
    metric.update_state(np.where(masks == 255, 255, masks), predictions)
    found = segmentation.measures(counts, list("abcd"), 3)
    assert float(found["mIoU"]) == pytest.approx(float(metric.result()), abs=1e-6)
    assert float(found["pixel accuracy"]) == pytest.approx((masks == predictions).sum() / (masks != 255).sum())
    assert counts.sum() == (masks != 255).sum()


def test_measures_by_hand():
    # Class a: 3 right, 1 given to b. Class b: 2 right. Class c is nowhere.
    found = segmentation.measures(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]), ["a", "b", "c"], 1)
    assert {key: round(float(value), 6) for key, value in found.items()} == {
        "mIoU": round((3 / 4 + 2 / 3) / 2, 6), "pixel accuracy": round(5 / 6, 6), "IoU of a": 0.75,
        "IoU of b": 0.666667,
    }


# Detection: the measures


def test_overlap_is_what_keras_computes():
    corners = rng(0).uniform(0, 20, (2, 7, 2, 2))
    first, second = np.concatenate([corners.min(axis=2), corners.max(axis=2)], axis=-1)
    expected = keras.utils.bounding_boxes.compute_iou(first, second, "xyxy")
    np.testing.assert_allclose(detection.overlap(first, second), expected, atol=1e-5)
    assert detection.overlap([[0, 0, 2, 2]], [[1, 1, 3, 3]]).item() == pytest.approx(1 / 7)
    assert detection.overlap(np.zeros((0, 4)), second).shape == (0, 7)


def boxes(*places, side=10):
    return np.array([[x, 0, x + side, side] for x in places], "float32").reshape(-1, 4)


def precision(found, truth, **options):
    """Found: (place, label, score); true: (place, label). One list of them an image."""
    found = [(boxes(*[x for x, *_ in some]), np.array([c for _, c, _ in some], int), np.array([s for *_, s in some]))
             for some in found]
    truth = [(boxes(*[x for x, _ in some]), np.array([c for _, c in some], int)) for some in truth]
    return detection.average_precision(found, truth, **options)


@pytest.mark.parametrize("found, truth, expected", [
    ([[(0, 0, 0.9)]], [[(0, 0)]], 1.0),
    ([[]], [[(0, 0)]], 0.0),
    ([[(50, 0, 0.9)]], [[(0, 0)]], 0.0),
    # Right, wrong, right: precision 1 up to recall 0.5 (51 of the 101 recalls), then 2/3.
    ([[(0, 0, 0.9), (50, 0, 0.8), (100, 0, 0.7)]], [[(0, 0), (100, 0)]], (51 + 50 * 2 / 3) / 101),
    # The same in two images, and in another order.
    ([[(50, 0, 0.8), (0, 0, 0.9)], [(100, 0, 0.7)]], [[(0, 0)], [(100, 0)]], (51 + 50 * 2 / 3) / 101),
    # Wrong, then right: the precision rises, and the best one at this recall or a higher one counts.
    ([[(50, 0, 0.9), (0, 0, 0.8), (100, 0, 0.7)]], [[(0, 0), (100, 0)]], 2 / 3),
    # An object is found once: the second one is wrong.
    ([[(0, 0, 0.9), (1, 0, 0.8), (100, 0, 0.7)]], [[(0, 0), (100, 0)]], (51 + 50 * 2 / 3) / 101),
    # Half of the objects: nothing above a recall of 0.5.
    ([[(0, 0, 0.9)]], [[(0, 0), (100, 0)]], 51 / 101),
    # Another class does not count, nor does what is found of it.
    ([[(0, 1, 0.9)]], [[(0, 0)]], 0.0),
])
def test_average_precision_by_hand(found, truth, expected):
    ap = precision(found, truth, classes=3, thresholds=[0.5])
    assert ap[0, 0] == pytest.approx(expected) and np.isnan(ap[0, 1:]).all()


def test_average_precision_falls_with_the_threshold():
    # Moved by 1 of 10: the intersection over union is 9/11 = 0.818, which passes 0.50 to 0.80.
    ap = precision([[(1, 0, 0.9)]], [[(0, 0)]], classes=1)
    assert ap[:, 0].tolist() == [1.0] * 7 + [0.0] * 3


def by_loops(found, truth, label, threshold):
    """Average precision from its definition, one object after the other."""
    ranked = sorted(((s, i, j) for i, (_, c, scores) in enumerate(found) for j, s in enumerate(scores)
                     if c[j] == label), key=lambda x: -x[0])
    taken, right, points = set(), 0, []
    total = sum(int(c == label) for _, marks in truth for c in marks)
    for number, (_, i, j) in enumerate(ranked, 1):
        best, at = threshold, None
        for k, c in enumerate(truth[i][1]):
            one, two = found[i][0][j], truth[i][0][k]
            width = min(one[2], two[2]) - max(one[0], two[0])
            height = min(one[3], two[3]) - max(one[1], two[1])
            both = max(width, 0) * max(height, 0)
            area = lambda box: (box[2] - box[0]) * (box[3] - box[1])
            iou = both / (area(one) + area(two) - both)
            if c == label and (i, k) not in taken and iou >= best:
                best, at = iou, (i, k)
        if at is not None:
            taken.add(at)
            right += 1
        points.append((right / total, right / number))
    return sum(max([p for r, p in points if r >= recall / 100 - 1e-9], default=0.0) for recall in range(101)) / 101


def test_average_precision_by_loops():
    generator = rng(1)

    def some(count):
        low = generator.uniform(0, 10, (count, 2))
        return np.concatenate([low, low + generator.uniform(4, 10, (count, 2))], axis=1)

    truth = [(some(4), generator.integers(0, 2, 4)) for _ in range(6)]
    found = [(some(12), generator.integers(0, 2, 12), generator.random(12)) for _ in range(6)]
    ap = detection.average_precision(found, truth, classes=2, thresholds=[0.3, 0.5])
    expected = [[by_loops(found, truth, label, threshold) for label in (0, 1)] for threshold in (0.3, 0.5)]
    assert 0.02 < ap.min() and ap.max() < 0.9
    np.testing.assert_allclose(ap, expected, atol=1e-12)


def test_average_precision_is_that_of_coco():
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    generator = rng(2)
    numbers = generator.permutation(np.arange(46) % 2)  # 23 objects a class: few recalls fall on COCO's 101

    def some(count):
        low = generator.uniform(0, 30, (count, 2))
        return np.concatenate([low, low + generator.uniform(10, 20, (count, 2))], axis=1)

    truth = [(some(len(part)), part) for part in np.split(numbers, [9, 9, 20, 33])]  # the second image has none
    found = []
    for true, marks in truth:  # some near, some anywhere, some of another class
        near = true + generator.normal(scale=1.5, size=true.shape)
        boxes = np.concatenate([near, near + generator.normal(size=near.shape), some(6)])
        labels = np.concatenate([marks, marks, generator.integers(0, 2, 6)])
        found.append((boxes, labels, generator.random(len(boxes))))
    coco = COCO()
    entry = lambda i, box, label, **more: {
        "image_id": i, "category_id": int(label), "bbox": [*box[:2], *(box[2:] - box[:2])],
        "area": float(np.prod(box[2:] - box[:2])), "iscrowd": 0, **more,
    }  # fmt: skip
    given = [entry(i, *pair) for i, part in enumerate(truth) for pair in zip(*part)]
    coco.dataset = {
        "images": [{"id": i} for i in range(len(truth))], "categories": [{"id": 0}, {"id": 1}],
        "annotations": [{"id": number, **one} for number, one in enumerate(given, 1)],
    }  # fmt: skip
    coco.createIndex()
    detected = [entry(i, b, c, score=float(s)) for i, part in enumerate(found) for b, c, s in zip(*part)]
    judge = COCOeval(coco, coco.loadRes(detected), "bbox")
    judge.evaluate()
    judge.accumulate()
    expected = judge.eval["precision"][:, :, :, 0, -1].mean(axis=1)  # (thresholds, classes): all sizes, 100 an image
    ap = detection.average_precision(found, truth, classes=2)
    assert ap.shape == expected.shape == (10, 2) and 0.02 < ap[0].mean() < 0.95
    np.testing.assert_allclose(ap, expected, atol=1e-9)


def test_reach_is_how_far_a_box_may_move():
    for width, height in ((10, 10), (30, 6)):
        r = detection.reach(width, height)
        iou = detection.overlap([[0, 0, width, height]], [[r, r, width + r, height + r]])
        assert iou.item() == pytest.approx(0.7)


# Detection: targets, loss, boxes


BOXES = np.array([[3, 4, 20, 30], [40, 10, 63, 21], [1.5, 40, 9, 62]], "float32")
LABELS = np.array([0, 2, 1])


@pytest.mark.parametrize("size, grid", [((64, 64), (16, 16)), ((64, 64), (8, 8)), ((66, 65), (17, 17))])
def test_boxes_come_back_from_their_target(size, grid):
    target = detection.encoded(BOXES, LABELS, size, grid, classes=3)
    assert target[..., :3].max(axis=(0, 1)).tolist() == [1, 1, 1] and (target[..., :3] == 1).sum() == 3
    certain = np.where(target[..., :3] == 1, 9.0, -9.0 + target[..., :3])  # logits
    ideal = np.concatenate([certain, target[..., 3:-1]], axis=-1)[None].astype("float32")
    (boxes, labels, scores), = detection.decoded(ideal, size, max_detections=3)
    order = np.argsort(labels)
    np.testing.assert_allclose(boxes[order], BOXES[[0, 2, 1]], atol=1e-4)
    assert labels[order].tolist() == [0, 1, 2] and (scores > 0.99).all()
    # The peaks alone: what is beside one is lower.
    assert (detection.decoded(ideal, size, max_detections=10)[0][2] > 0.5).sum() == 3


def test_mirrored_boxes():
    mirror, labels = detection.mirrored(BOXES, LABELS, 64)
    np.testing.assert_array_equal(mirror[0], [44, 4, 61, 30])
    np.testing.assert_array_equal(detection.mirrored(mirror, labels, 64)[0], BOXES)


def test_loss_by_loops():
    target = np.stack([detection.encoded(BOXES, LABELS, (64, 64), (8, 8), 3), np.zeros((8, 8, 8), "float32")])
    found = rng(0).normal(size=(2, 8, 8, 7)).astype("float32")
    expected = []
    for image, output in zip(target, found):
        total, count = 0.0, 0
        for row in range(8):
            for column in range(8):
                for c in range(3):
                    y, p = image[row, column, c], 1 / (1 + np.exp(-output[row, column, c]))
                    total -= (1 - p) ** 2 * np.log(p) if y == 1 else (1 - y) ** 4 * p**2 * np.log(1 - p)
                if image[row, column, 7]:
                    count += 1
                    total += 0.1 * np.abs(image[row, column, 3:5] - output[row, column, 3:5]).sum()
                    total += np.abs(image[row, column, 5:7] - output[row, column, 5:7]).sum()
        expected.append(total / max(count, 1))
    assert float(detection.loss(target, found)) == pytest.approx(np.mean(expected), rel=1e-4)


# Toy tasks: a red and a green square on gray noise


@functools.cache
def scenes(count, seed):
    generator = rng(seed)
    images = generator.integers(60, 120, (count, 32, 32, 3)).astype("uint8")
    masks, places = np.zeros((count, 32, 32), "int32"), np.zeros((count, 2, 4), "float32")
    for i in range(count):
        for label in (0, 1):
            side = generator.integers(8, 13)
            x, y = generator.integers(0, [17 - side, 33 - side]) + [16 * label, 0]
            images[i, y:y + side, x:x + side, label] = 230
            masks[i, y:y + side, x:x + side] = label + 1
            places[i, label] = x, y, x + side, y + side
    return images, masks, places, np.tile([0, 1], (count, 1))


def small():
    """An encoder with two maps, of stride 2 and 4, and batch normalization."""
    return keras.Sequential([
        keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 128, -1),
        keras.layers.Conv2D(8, 3, 2, "same", activation="relu"), keras.layers.BatchNormalization(),
        keras.layers.Conv2D(16, 3, 2, "same", activation="relu"), keras.layers.GlobalAveragePooling2D(),
    ])


QUICK = {"width": 16, "epochs": 20, "batch_size": 8, "learning_rate": 1e-2}


def masks_of(count, seed):
    return scenes(count, seed)[:2]


def boxes_of(count, seed):
    images, _, places, labels = scenes(count, seed)
    return images, places, labels


@pytest.mark.parametrize("frozen", [True, False])
def test_squares_are_segmented(frozen):
    encoder = small()
    before = encoder.get_weights()
    result, model = evaluation.segment(
        encoder, masks_of(48, 0), masks_of(16, 1), ["ground", "red", "green"], frozen=frozen, return_model=True, **QUICK
    )
    assert list(result) == ["mIoU", "pixel accuracy", "IoU of ground", "IoU of red", "IoU of green"]
    assert float(result) > 0.5 and result["pixel accuracy"].mean > 0.85  # all ground: 0.27 and 0.8
    assert model.output_shape == (None, 32, 32, 3) and "frozen" in str(result)
    check_weights(encoder, before, model, frozen)


@pytest.mark.parametrize("frozen", [True, False])
def test_squares_are_detected(frozen):
    encoder = small()
    before = encoder.get_weights()
    result, model = evaluation.detect(
        encoder, boxes_of(48, 0), boxes_of(16, 1), ["red", "green"], frozen=frozen, return_model=True, **QUICK
    )
    assert list(result) == ["AP", "AP at 0.5", "AP of red", "AP of green"]
    assert result["AP at 0.5"].mean > 0.5 and 0.1 < float(result) < 1  # chance: about 0
    boxes, labels, scores = evaluation.detections(model, scenes(16, 1)[0], max_detections=5)[0]
    assert boxes.shape == (len(labels), 4) and (np.diff(scores) <= 0).all() and boxes.max() <= 32
    check_weights(encoder, before, model, frozen)


def check_weights(encoder, before, model, frozen):
    """The given encoder stays as it is; the copy in the model too, batch statistics included, where it is frozen."""
    for one, two in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)
    copies = [layer for layer in model.layers if isinstance(layer, keras.Model)][0].get_weights()
    assert all(np.array_equal(one, two) for one, two in zip(copies, before, strict=True)) == frozen


def test_the_seed_repeats_a_run():
    options = {"width": 8, "epochs": 2, "batch_size": 8, "frozen": False}
    encoder = small()
    results = [
        evaluation.segment(encoder, masks_of(16, 0), masks_of(8, 1), 3, seed=seed, **options) for seed in (1, 1, 2)
    ]
    numbers = [[found.mean for found in result.measures.values()] for result in results]
    assert numbers[0] == numbers[1] != numbers[2]


def test_objects_as_lists_and_as_padded_arrays():
    images, places, labels = boxes_of(4, 0)
    padded = np.concatenate([places, np.zeros((4, 1, 4))], axis=1), np.concatenate([labels, -np.ones((4, 1), int)], 1)
    _, expected = detection.checked((images, list(places), list(labels)), 2, "train")
    _, found = detection.checked((images, *padded), 2, "train")
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])


@pytest.mark.parametrize("change, said", [
    ({"train": (np.zeros((2, 32, 32, 3), "uint8"), np.zeros((2, 16, 16), int))}, "Masks must be ints of shape"),
    ({"train": (np.zeros((2, 32, 32, 3), "uint8"), np.full((2, 32, 32), 3))}, "class numbers from 0 to 2"),
    ({"train": np.zeros((2, 32, 32, 3), "uint8")}, "no masks"),
    ({"test": (np.zeros((2, 16, 16, 3), "uint8"), np.zeros((2, 16, 16), int))}, "one size"),
    ({"classes": ["a", "a", "b"]}, "list of different names"),
    ({"classes": 0}, "classes must be a positive int"),
    ({"ignore": 1}, "an int that is no class"),
    ({"levels": 0}, "levels must be a positive int"),
    ({"frozen": 1}, "frozen must be True or False"),
    ({"flip": 2}, "flip must be a finite number"),
    ({"encoder": resnet((16, 16, 3))}, "takes images of shape"),
])
def test_what_cannot_be_segmented(change, said):
    given = {"encoder": small(), "train": masks_of(4, 0), "test": masks_of(4, 1), "classes": 3} | change
    with pytest.raises(ValueError, match=said):
        evaluation.segment(**given)


@pytest.mark.parametrize("train, said", [
    (boxes_of(4, 0)[:2], "must be .images, boxes, labels."),
    ((boxes_of(4, 0)[0], np.zeros((4, 1, 4)), np.zeros((4, 1), int)), "left, top, right, bottom"),
    ((boxes_of(4, 0)[0], np.full((4, 1, 4), [0, 0, 40, 8]), np.zeros((4, 1), int)), "inside the image of 32 x 32"),
    ((*boxes_of(4, 0)[:2], np.full((4, 2), 2)), "Labels must be below 2"),
    ((*boxes_of(4, 0)[:2], np.zeros((4, 3), int)), "one int label a box"),
    ((*boxes_of(4, 0)[:2], np.full((4, 2), -1)), "no objects"),
    ((boxes_of(4, 0)[0], [], []), "boxes and labels for each of them"),
])
def test_what_cannot_be_detected(train, said):
    with pytest.raises(ValueError, match=said):
        evaluation.detect(small(), train, boxes_of(4, 1), 2)


def test_no_model():
    with pytest.raises(TypeError, match="functional or a built sequential"):
        evaluation.segment(lambda x: x, masks_of(4, 0), masks_of(4, 1), 3)


def test_examples():
    found = doctest.testmod(detection, extraglobs={"np": np})
    assert found.attempted and not found.failed
