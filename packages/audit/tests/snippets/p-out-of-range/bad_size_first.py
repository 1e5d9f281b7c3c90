from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        # Written as if the first argument were a size: 0.1 is taken for `inplace`.
        self.drop = nn.Dropout(512, 0.1)  #! p-out-of-range
