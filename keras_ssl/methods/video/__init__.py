"""Video methods: what belongs together in time, the order of frames, what moves and can be followed.

A video shows the same thing many times, from other sides and in other light, without anybody drawing views of it. These
methods take clips as their samples: `keras_ssl.data.video_folder` reads them. Those that learn from single frames take
an encoder of images as one of clips, `keras_ssl.encoders.over_time`.
"""
