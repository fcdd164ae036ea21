"""`python -m keras_ssl`: the command line."""

import sys

from keras_ssl.command import main

sys.exit(main())
