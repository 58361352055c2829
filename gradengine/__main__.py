"""`python -m gradengine` is the command `gradengine`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
