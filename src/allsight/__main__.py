"""`python -m allsight`: the command line, where its script is not on the path."""

import sys

from allsight.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
