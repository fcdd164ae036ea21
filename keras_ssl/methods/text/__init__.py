"""Text methods: vectors of words, of sentences and of tokens out of running text.

A text is a dict of the numbers of its tokens and the mask of the real ones (see the guide on kinds of data);
`keras_ssl.data.text_files` makes them of files. Methods that do not depend on the kind of data train on texts, too.
Compare with counts of words (TF-IDF), which are hard to beat where a topic is to be told.
"""
