"""Prints lines, and then does nothing for some seconds.

says.py SECONDS LINE...
"""

import sys
import time

sys.stdout.write("".join(f"{line}\n" for line in sys.argv[2:]))
sys.stdout.flush()
time.sleep(float(sys.argv[1]))
