"""Write ``avatarkit_rtc/motion/motion_pb2.py`` and ``.pyi`` anew: ``pip install -e '.[proto]'``, run this.

The old protoc of grpcio-tools 1.62 is wanted: its output runs on every protobuf since 4.21, so that the
package gets along with whatever livekit, livekit-agents or a vendor's package pins.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    proto = "avatarkit_rtc/motion/motion.proto"
    sys.exit(
        protoc.main(["protoc", f"-I{ROOT}", f"--python_out={ROOT}", f"--pyi_out={ROOT}", str(ROOT / proto)])
    )
