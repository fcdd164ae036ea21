"""Data: files, folders, arrays, series, sounds, videos and tensorflow-datasets as one kind of `tf.data` pipeline.

Every pipeline yields batched dicts: the samples, `"seed"` int32 `(batch, 2)`, and on request `"label"` and `"index"`,
int32 `(batch,)`. Samples are `"image"` uint8 `(batch, height, width, channels)` with pixels 0..255, or the columns of
another kind of data, out of `arrays` or a reader: video, audio, series, tokens, graphs, with their masks. `series` cuts
windows out of long recordings, `audio_folder` parts out of sounds in files, `video_folder` clips out of videos. The
order and the seeds are pure functions of (`seed`, epoch, sample), so two pipelines with the same arguments yield the
same batches, whatever the number of parallel calls, and a run can go on at any batch of any epoch. Pipelines of views
hold `"views"`, a tuple, in place of the samples and `"seed"`: `views` augments another pipeline, `image_folder_views`
and `files_views` crop out of files. `with_unlabeled` puts unlabeled samples beside labeled ones. `moving_crops`,
`moving_sprites` and `bouncing_digits` make arrays: videos whose motion is known.

A dataset carries, as attributes, `epoch`, the `tf.Variable` with the number of the next pass (assign to it to go
on elsewhere), and, where they exist, `file_paths` and `class_names`.
"""

from keras_ssl.data.array import arrays
from keras_ssl.data.audio import audio_files, audio_folder
from keras_ssl.data.catalog import tfds
from keras_ssl.data.crops import files_views, image_folder_views
from keras_ssl.data.folder import check, files, image_folder
from keras_ssl.data.graphs import graphs, pad_graphs, read_graphs
from keras_ssl.data.groups import split_groups
from keras_ssl.data.moving import bouncing_digits, moving_crops, moving_sprites
from keras_ssl.data.salient import salient_patches
from keras_ssl.data.segments import grid_segments, segment
from keras_ssl.data.series import series, series_statistics
from keras_ssl.data.subset import class_balanced
from keras_ssl.data.texts import (
    ByteVocabulary,
    Vocabulary,
    pad_tokens,
    read_texts,
    sentence_pairs,
    text_columns,
    text_files,
    texts,
)
from keras_ssl.data.unlabeled import with_unlabeled
from keras_ssl.data.video import video_files, video_folder
from keras_ssl.data.view import views

__all__ = [
    "ByteVocabulary",
    "Vocabulary",
    "arrays",
    "audio_files",
    "audio_folder",
    "bouncing_digits",
    "check",
    "class_balanced",
    "files",
    "files_views",
    "graphs",
    "grid_segments",
    "image_folder",
    "image_folder_views",
    "moving_crops",
    "moving_sprites",
    "pad_graphs",
    "pad_tokens",
    "read_graphs",
    "read_texts",
    "salient_patches",
    "segment",
    "sentence_pairs",
    "series",
    "series_statistics",
    "split_groups",
    "text_columns",
    "text_files",
    "texts",
    "tfds",
    "video_files",
    "video_folder",
    "views",
    "with_unlabeled",
]
