from torch import nn

model = nn.Transformer(512, 8, 6, 6, 2048, 1.2)  #! p-out-of-range
