from torch import nn

drop = nn.Dropout(1 + (2 - (3 - (4 - (1 / 2)))))  #! p-out-of-range
