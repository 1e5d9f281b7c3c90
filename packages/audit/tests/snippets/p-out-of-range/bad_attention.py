from torch import nn

# Accepted when it is built; the first forward raises.
attention = nn.MultiheadAttention(512, 8, dropout=10)  #! p-out-of-range
