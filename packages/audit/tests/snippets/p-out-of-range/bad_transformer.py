from torch import nn

layer = nn.TransformerEncoderLayer(512, 8, 2048, 1.5)  #! p-out-of-range
