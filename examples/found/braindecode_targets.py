"""braindecode's dropouts, alone: the package needs MNE."""

from alone import alone

drop_path = alone("braindecode", "braindecode/functional/functions.py", "drop_path")
ChannelDropout = alone("braindecode", "braindecode/models/brainmodule.py", "_ChannelDropout")
