"""``python -m bench.playout``."""

import sys

from bench.playout.run import main

if __name__ == "__main__":
    sys.exit(main())
