"""``python -m nbgrad``: see `nbgrad.command_line`."""

import sys

from nbgrad.command_line import main

if __name__ == "__main__":
    sys.exit(main())
